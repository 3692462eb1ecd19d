"""Imported BERTs against `transformers` (recorded, see tests/data/hugging_face/make.py) and `tokenizers` (run here)."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf
import tokenizers

from xmcgan.hugging_face import bert, tokenizer_files, weights
from xmcgan.models.bert_model import Preprocessor

MODELS = pathlib.Path(__file__).parents[2] / "data" / "hugging_face"
ODD = (
    "A man's dog, playing in the café!",
    "e\u0301 ÉCOLE naïve Ångström",  # Composed and decomposed accents.
    "Straße GROẞ ß ΟΔΥΣΣΕΥΣ Σίσυφος İstanbul",  # Letters with lower cases of their own.
    "東京の犬 runs 一只狗\U00020000 한국",
    "½ ① ﬁne １２ 𝐁 … ™ Ⅷ",  # Compatibility characters stay as they are.
    "a\x00b\x07c\x1fd\x7fe\x85f\u200bg\ufeffh\u00adi\ue000j\ufffdk",
    "a\tb\nc\r\nd\x0be\x0cf\u00a0g\u2003h\u3000i\u2028j\u2029k",
    "🍕 and 👨‍👩‍👧 🇫🇷 ❤️ ☃",
    'it\'s "quoted" — ¿qué? $5.00 50% #tag @x ^_^ `~ «a» ##ing [mask] <b>',
    "a" * 100 + " " + "a" * 101 + " " + "é" * 100 + " " + "a" * 60 + "-" + "b" * 60,
    "नमस्ते السَّلامُ שָׁלוֹם สวัสดีครับ Tiếng Việt",
    "",
    " \t ",
)


@pytest.fixture(params=["uncased", "cased", "distilbert"])
def model(request):
    """A folder of a model, and what `transformers` computes with it."""
    return MODELS / request.param, np.load(MODELS / request.param / "expected.npz")


def test_tokens_and_outputs_are_those_of_transformers(model):
    folder, expected = model
    imported = bert.load(folder)
    token_ids = imported.preprocessor.tokenize(tf.constant(expected["captions"].tolist()))
    tokens = imported.preprocessor.bert_pack_inputs([token_ids], expected["mask"].shape[1])
    np.testing.assert_array_equal(tokens["input_word_ids"], expected["word_ids"])
    np.testing.assert_array_equal(tokens["input_mask"], expected["mask"])
    outputs = imported.encoder(tokens)
    real = expected["mask"].astype(bool)
    for output, block in zip(outputs["encoder_outputs"], expected["blocks"]):
        np.testing.assert_allclose(output.numpy()[real], block[real], atol=1e-5)
    np.testing.assert_array_equal(outputs["sequence_output"], outputs["encoder_outputs"][-1])
    np.testing.assert_allclose(outputs["pooled_output"], expected["pooled"], atol=1e-5)
    np.testing.assert_array_equal(outputs["default"], outputs["pooled_output"])


@pytest.mark.parametrize("lower_case", [True, False])
@pytest.mark.parametrize("strip_accents", [None, True, False])
def test_tokens_of_odd_text_are_those_of_the_tokenizers_library(lower_case, strip_accents):
    vocabulary = tokenizer_files.read(MODELS / "uncased").vocabulary
    theirs = tokenizers.BertWordPieceTokenizer(
        {token: i for i, token in enumerate(vocabulary)}, lowercase=lower_case, strip_accents=strip_accents
    )
    ours = Preprocessor(vocabulary, lower_case, lower_case if strip_accents is None else strip_accents)
    expected = [theirs.encode(text, add_special_tokens=False).ids for text in ODD]
    assert ours.tokenize(tf.constant(ODD)).to_list() == expected


def test_the_known_differences_of_tokens():
    vocabulary = tokenizer_files.read(MODELS / "cased").vocabulary
    theirs = tokenizers.Tokenizer.from_file(str(MODELS / "cased" / "tokenizer.json"))
    ours = Preprocessor(vocabulary, lower_case=False, strip_accents=False)

    def tokens(text):
        return [vocabulary[i] for i in ours.tokenize([text]).to_list()[0]]

    assert theirs.encode("[SEP]", add_special_tokens=False).tokens == ["[SEP]"]
    assert tokens("[SEP]") == ["[", "S", "##E", "##P", "]"]  # A caption cannot contain special tokens.
    assert theirs.encode("é" * 101, add_special_tokens=False).tokens == ["[UNK]"]
    assert tokens("é" * 101) == ["é", *["##é"] * 100]
    assert tokens("é" * 201) == ["[UNK]"]


@pytest.fixture
def copied(tmp_path):
    """A copy of the uncased model, to change."""
    return pathlib.Path(shutil.copytree(MODELS / "uncased", tmp_path / "model"))


def test_weights_in_parts_with_old_names_and_a_prefix(copied):
    path = copied / weights.FILE
    tensors = safetensors.numpy.load_file(path)
    path.unlink()
    renamed = {
        "bert."
        + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    names = sorted(renamed)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for part, held in parts.items():
        safetensors.numpy.save_file({name: renamed[name] for name in held}, copied / part)
    weight_map = {name: part for part, held in parts.items() for name in held}
    (copied / weights.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    stored = weights.Weights(copied)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(stored.read(name, tensor.shape), tensor)
    assert stored.has(weights.POOLER) and not stored.has("cls.predictions.decoder")


def _edit(path, **changes):
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def _edit_tokenizer(path, part, **changes):
    content = json.loads(path.read_text())
    content[part].update(changes)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("config.json", {"model_type": "roberta"}, "model_type is 'roberta': pass a bert or a distilbert"),
        ("config.json", {"hidden_size": "12"}, "config.json: hidden_size: expected int, got str"),
        ("config.json", {"num_hidden_layers": 0}, "config.json: num_hidden_layers: expected int >= 1"),
        ("config.json", {"num_attention_heads": 5}, "5 heads do not divide a width of 12"),
        ("config.json", {"hidden_act": "silu"}, "the activation is 'silu'"),
        ("config.json", {"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ("config.json", {"is_decoder": True}, "is_decoder is true: pass an encoder"),
        (
            "config.json",
            {"hidden_size": 3 * 2**40},
            r"word_embeddings.weight is \[189, 12\], but config.json says \[189,",
        ),
        (
            "config.json",
            {"max_position_embeddings": 2**40},
            r"position_embeddings.weight is \[20, 12\], but config.json",
        ),
        ("config.json", {"intermediate_size": 2**40}, r"intermediate.dense.weight is \[20, 12\], but config.json says"),
        (
            "config.json",
            {"num_hidden_layers": 2**40},
            "the tensor encoder.layer.3.intermediate.dense.weight is missing",
        ),
        ("config.json", {"vocab_size": 100}, "vocab_size is 100, but the tokenizer of .* has 186 tokens"),
        (
            "tokenizer_config.json",
            {"tokenizer_class": "BertJapaneseTokenizer"},
            "only BERT's tokenizer can be imported",
        ),
        ("tokenizer_config.json", {"tokenize_chinese_chars": False}, "tokenize_chinese_chars is false"),
    ],
)
def test_models_that_cannot_be_imported(copied, name, changes, message):
    _edit(copied / name, **changes)
    with pytest.raises(ValueError, match=message) as error:
        bert.load(copied)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "part, changes, message",
    [
        ("model", {"type": "BPE"}, "model.type is 'BPE', not 'WordPiece'"),
        ("model", {"vocab": {"[PAD]": 0, "a": 2}}, "the ids in model.vocab are not 0, 1, 2"),
        ("model", {"vocab": {"[PAD]": 0, "a": 1}}, r"has no token \[UNK\]"),
        ("normalizer", {"type": "Lowercase"}, "normalizer.type is 'Lowercase', not 'BertNormalizer'"),
        ("pre_tokenizer", {"type": "Whitespace"}, "pre_tokenizer.type is 'Whitespace', not 'BertPreTokenizer'"),
    ],
)
def test_tokenizers_that_cannot_be_imported(copied, part, changes, message):
    _edit_tokenizer(copied / "tokenizer.json", part, **changes)
    with pytest.raises(ValueError, match=message):
        tokenizer_files.read(copied)


def test_tokenizer_config_is_above_tokenizer_json(copied):
    assert tokenizer_files.read(copied)[1:] == (True, True)
    _edit(copied / "tokenizer_config.json", do_lower_case=False)
    assert tokenizer_files.read(copied)[1:] == (False, False)
    _edit(copied / "tokenizer_config.json", strip_accents=True)
    assert tokenizer_files.read(copied)[1:] == (False, True)
    (copied / "tokenizer_config.json").unlink()
    assert tokenizer_files.read(copied)[1:] == (True, True)


def test_a_vocabulary_that_does_not_tell_its_case(tmp_path):
    shutil.copy(MODELS / "distilbert" / "vocab.txt", tmp_path)
    with pytest.raises(ValueError, match="does not say whether its words are lower-cased: write a tokenizer_config"):
        tokenizer_files.read(tmp_path)
    with open(tmp_path / "vocab.txt", "a") as file:
        file.write("dog\n")
    with pytest.raises(ValueError, match="has the token 'dog' twice"):
        tokenizer_files.read(tmp_path)


def test_pickles_are_refused(copied):
    (copied / weights.FILE).rename(copied / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"a pickle, .* never read: convert it, .*save_pretrained"):
        bert.load(copied)


def test_tensors_that_do_not_fit(copied):
    stored = weights.Weights(copied)
    with pytest.raises(ValueError, match=r"tensor pooler.dense.weight is \[12, 12\], but config.json says \[24, 12\]"):
        stored.read("pooler.dense.weight", (24, 12))
    with pytest.raises(ValueError, match=r"the tensor encoder.layer.3.output.dense.bias is missing"):
        stored.read("encoder.layer.3.output.dense.bias", (12,))
    tensors = safetensors.numpy.load_file(copied / weights.FILE)
    tensors["pooler.dense.bias"] = np.full(12, np.nan, np.float32)
    safetensors.numpy.save_file(tensors, copied / weights.FILE)
    with pytest.raises(ValueError, match=r"pooler.dense.bias has numbers that are not finite"):
        weights.Weights(copied).read("pooler.dense.bias", (12,))


def test_damaged_and_missing_files(copied):
    path = copied / weights.FILE
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"model.safetensors cannot be read \(.*\): get the file again"):
        bert.load(copied)
    for name, message in ((weights.FILE, "has no model.safetensors"), ("tokenizer.json", "has no tokenizer.json or")):
        (copied / name).unlink()
        with pytest.raises(FileNotFoundError, match=message):
            bert.load(copied)
    with pytest.raises(FileNotFoundError, match=r"has no config.json: pass the folder of a Hugging Face model"):
        bert.load(copied / "none")
