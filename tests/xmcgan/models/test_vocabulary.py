import os

import tensorflow as tf

from data_pipelines import prepare
from xmcgan.models.text_encoder import load_preprocessor
from xmcgan.models.vocabulary import name_tokens, read_vocabulary


def test_tokens_of_the_prepared_preprocessor(scenes_dir):
    folder = os.path.join(prepare.text_model_folder(scenes_dir), "preprocessor")
    vocabulary = read_vocabulary(folder)
    preprocessor = load_preprocessor(folder)
    tokens = preprocessor.bert_pack_inputs([preprocessor.tokenize(["a red ball"])], 7)
    names = name_tokens(vocabulary, tokens["input_word_ids"], tokens["input_mask"])
    named = [name.decode() for name in names.numpy()[0]]
    assert named[0] == "[CLS]" and named[-1] == "" and "[SEP]" in named
    words = "".join(f" {name}" for name in named[1 : named.index("[SEP]")]).replace(" ##", "").strip()
    assert words == "a red ball"


def test_a_preprocessor_that_does_not_tell(tmp_path):
    assert read_vocabulary(str(tmp_path)) == []
    named = name_tokens([], tf.constant([[101, 7, 0]]), tf.constant([[1, 1, 0]]))
    assert named.numpy().tolist() == [[b"101", b"7", b""]]
