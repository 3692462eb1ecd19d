"""The record of text features against what was put in; whose features they are; whose they are not."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import text_feature_files, text_features
from data_pipelines.datasets import preset

DIM, TEXT_LENGTH, LENGTHS = 6, 5, [2, 5, 3]
CAPTIONS = ["a red ball", "una pelota roja, ¡qué bonita!", ""]


def _text(**changes):
    random = np.random.default_rng(0)
    text = text_features.ImageText(
        image_id="42",
        captions=CAPTIONS,
        sentences=random.normal(size=[3, DIM]).astype(np.float16),
        words=random.normal(size=[sum(LENGTHS), DIM]).astype(np.float16),
        lengths=np.asarray(LENGTHS),
    )
    return text._replace(**changes)


@pytest.fixture(scope="module")
def stored():
    return text_features.StoredText(None, TEXT_LENGTH, DIM, "make them again")


@pytest.mark.parametrize("number", range(3))
def test_each_caption_gives_its_own_features_padded_with_zeros(stored, number):
    text = _text()
    numbers = tf.data.Dataset.from_tensors(tf.constant(number, tf.int64))
    serialized = text_features.serialize(text)
    decoded = numbers.map(lambda n: stored.decode(tf.constant(serialized), n, tf.constant(CAPTIONS)[n], "42"))
    assert decoded.element_spec.words == tf.TensorSpec([TEXT_LENGTH, DIM], tf.float16)
    (features,) = decoded.as_numpy_iterator()
    first, length = sum(LENGTHS[:number]), LENGTHS[number]
    assert features.lengths == length and features.lengths.dtype == np.int32
    np.testing.assert_array_equal(features.sentence, text.sentences[number])
    np.testing.assert_array_equal(features.words[:length], text.words[first : first + length])
    np.testing.assert_array_equal(features.words[length:], 0)


@pytest.mark.parametrize(
    "number, caption, image_id",
    [
        (0, CAPTIONS[0], "43"),  # Another image.
        (0, CAPTIONS[1], "42"),  # Another order of the captions.
        (1, "una pelota roja", "42"),  # Another text.
        (3, CAPTIONS[0], "42"),  # More captions than were encoded.
    ],
)
def test_features_of_another_caption_are_refused(stored, number, caption, image_id):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"do not belong to the image and caption(.|\n)*make them again"
    ):
        stored.decode(tf.constant(text_features.serialize(_text())), tf.constant(number), caption, image_id)


@pytest.mark.parametrize("field", ["sentences", "words"])
def test_what_float16_cannot_hold_is_not_stored(field):
    values = getattr(_text(), field).astype(np.float32)
    values[1, 2] = 70_000.0
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"image 42 .*--noconfig\.text\.precomputed"):
        text_features.serialize(_text(**{field: values.astype(np.float16)}))


def _identity(data_dir, **changes):
    config = preset("scenes")
    for name, value in changes.items():
        setattr(config.data if name == "text_length" else config.text, name, value)
    return text_feature_files.identify(config, data_dir)


def test_an_encoder_is_known_by_its_content(scenes_dir, tmp_path):
    identity = _identity(scenes_dir)
    copy = shutil.copytree(scenes_dir / "scenes" / "bert", tmp_path / "bert")
    moved = {"preprocessor": str(copy / "preprocessor"), "encoder": str(copy / "encoder")}
    (copy / "encoder" / "LICENSE").write_text("It may be used.")
    assert _identity(scenes_dir, **moved) == identity
    assert _identity(scenes_dir, precomputed=True) == identity

    (weights,) = (copy / "encoder" / "variables").glob("variables.data*")
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    (copy / "preprocessor" / "assets").mkdir(exist_ok=True)
    (copy / "preprocessor" / "assets" / "vocab.txt").write_text("another")
    changed = _identity(scenes_dir, **moved)
    assert changed.preprocessor != identity.preprocessor and changed.encoder != identity.encoder
    others = [changed, _identity(scenes_dir, text_length=18), _identity(scenes_dir, sentence_pooling="pooled_output")]
    assert len({each.fingerprint for each in (identity, *others)}) == 4
