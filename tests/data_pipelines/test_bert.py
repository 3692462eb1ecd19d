import json
import os
import random

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text as tf_text

from data_pipelines.scenes import bert
from tests.support.eagerly import eagerly
from xmcgan.models import bert_model, text_encoder

COLORS = ("red", "green", "blue", "yellow", "black", "white")
SHAPES = ("ball", "cube", "star", "tree", "house", "boat")
STEPS = 10
PLACES = ("on the sand", "on the snow", "at night", "in the city")


def _captions(images, seed=0):
    rng = random.Random(seed)
    groups = []
    for _ in range(images):
        thing, place = f"a {rng.choice(COLORS)} {rng.choice(SHAPES)}", rng.choice(PLACES)
        groups.append([f"{thing} {place}", f"there is {thing} {place}.", f"{place}, {thing}"])
    return groups


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a BERT that has been trained a little, and its report."""
    folder = str(tmp_path_factory.mktemp("bert") / "small")
    with eagerly():
        return folder, bert.build(_captions(400), folder, seed=3, steps=STEPS)


def test_pretraining_begins_to_learn(built):
    _, report = built
    assert report["accuracy_before"] < 0.1
    assert report["loss_after"] < 0.9 * report["loss_before"]
    assert report["contrastive_loss_after"] < report["contrastive_loss_before"]


@pytest.mark.slow  # Forty steps. That losses fall: above.
def test_pretraining_learns_words_and_sentences(tmp_path):
    report = bert.build(_captions(400), str(tmp_path / "small"), seed=3, steps=40)
    assert report["accuracy_before"] < 0.1
    assert report["accuracy_after"] > 0.3
    assert report["loss_after"] < 0.6 * report["loss_before"]
    # 100 images are held out, of 144 possible kinds.
    assert report["retrieval_after"] > 0.3
    assert report["cosine_after"] < 0.3 < report["cosine_before"]
    # Words of one sentence stay apart: what attention from regions to words needs.
    encoder = text_encoder.TextEncoder(
        str(tmp_path / "small" / "preprocessor"), str(tmp_path / "small" / "encoder"), 17, dim=bert_model.WIDTH
    )
    words = tf.nn.l2_normalize(encoder(tf.constant(["a red ball on the sand"])).words[0, :8], axis=1)
    cosines = tf.matmul(words, words, transpose_b=True).numpy()
    assert np.mean(cosines[~np.eye(8, dtype=bool)]) < 0.7


def test_loads_through_the_path_of_the_published_bert(built):
    folder, _ = built
    encoder = text_encoder.TextEncoder(
        os.path.join(folder, "preprocessor"), os.path.join(folder, "encoder"), 17, dim=bert_model.WIDTH
    )
    features = encoder(tf.constant(["a red ball on the sand", "", "a blue star at night"]))
    assert features.words.shape == (3, 17, 128)
    np.testing.assert_array_equal(features.lengths, [8, 2, 7])


def test_padding_does_not_change_the_words(built):
    encoder = tf.saved_model.load(os.path.join(built[0], "encoder"))
    preprocessor = tf.saved_model.load(os.path.join(built[0], "preprocessor"))
    token_ids = [preprocessor.tokenize(tf.constant(["a red ball"]))]
    short = encoder(preprocessor.bert_pack_inputs(token_ids, seq_length=5))
    long = encoder(preprocessor.bert_pack_inputs(token_ids, seq_length=20))
    np.testing.assert_allclose(short["sequence_output"], long["sequence_output"][:, :5], atol=1e-5)
    np.testing.assert_allclose(short["pooled_output"], long["pooled_output"], atol=1e-5)


def test_tokens_are_those_of_the_plain_bert_tokenizer():
    vocabulary = [*bert_model.SPECIAL_TOKENS, "a", "red", "ball", "##s", "cafe", "."]
    captions = ["A red ball.", "Café", "redballs red-ball", " \n", b"red \xff\xc3 ball", "[MASK] red"]
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.KeyValueTensorInitializer(vocabulary, np.arange(len(vocabulary), dtype=np.int64)), num_oov_buckets=1
    )
    expected = tf_text.BertTokenizer(table, lower_case=True).tokenize(captions).merge_dims(1, 2)
    preprocessor = bert_model.Preprocessor(vocabulary)
    assert preprocessor.tokenize(tf.constant(captions)).to_list() == expected.to_list()
    packed = preprocessor(tf.constant(captions))
    np.testing.assert_array_equal(packed["input_mask"].numpy().sum(axis=1), expected.row_lengths().numpy() + 2)
    assert packed["input_word_ids"][0].numpy().tolist()[:7] == [2, 5, 6, 7, 10, 3, 0]


def test_the_vocabulary_knows_every_word_whole():
    captions = [caption for group in _captions(50) for caption in group]
    vocabulary = bert.learn_vocabulary(captions)
    assert tuple(vocabulary[:5]) == bert_model.SPECIAL_TOKENS
    assert set(" ".join(captions).replace(".", " ").replace(",", " ").split()) <= set(vocabulary)


def test_a_second_call_does_nothing(built, monkeypatch):
    folder, report = built
    before = {name: os.stat(os.path.join(folder, name)).st_mtime_ns for name in os.listdir(folder)}
    assert set(before) == {"preprocessor", "encoder", "pretraining.json"}
    monkeypatch.setattr(bert, "learn_vocabulary", lambda captions: pytest.fail("built again"))
    assert bert.build(_captions(400), folder, seed=3, steps=STEPS) == json.loads(json.dumps(report))
    assert before == {name: os.stat(os.path.join(folder, name)).st_mtime_ns for name in os.listdir(folder)}


@pytest.mark.slow
def test_the_seed_decides(tmp_path):
    def words(name):
        bert.build(_captions(8), str(tmp_path / name), seed=0, steps=2)
        encoder = tf.saved_model.load(str(tmp_path / name / "encoder"))
        ones = tf.ones([1, 6], tf.int32)
        inputs = {"input_word_ids": 6 * ones, "input_mask": ones, "input_type_ids": 0 * ones}
        return encoder(inputs)["sequence_output"].numpy()

    (tmp_path / "b" / "encoder").mkdir(parents=True)  # What a killed call may leave is replaced.
    (tmp_path / "b.incomplete").mkdir()
    np.testing.assert_array_equal(words("a"), words("b"))
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    weights = [bert_model.Encoder(10, seed=seed).token_embedding.embeddings for seed in (0, 0, 1)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-2


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ([], "captions of 0 images are too few"),
        ([["a"], ["b"], [], ["d"]], "image 3 needs a list of one or more captions"),
        ([["a"], "b", ["c"], ["d"]], "image 2 needs a list of one or more captions"),
    ],
)
def test_refuses_what_it_cannot_learn_from(tmp_path, captions, message):
    with pytest.raises(ValueError, match=message):
        bert.build(captions, str(tmp_path / "bert"))
    assert not os.listdir(tmp_path)
