"""The record of stored text features: what a frozen text encoder makes of an image's captions, in float16.

It has the features of all captions of one image; of the words only the real ones, without padding. It names the
image and each caption (by a 63-bit hash of its text), and reading holds both against what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines.record_index import RecordIndex
from xmcgan.models.text_encoder import TextFeatures

_HALF = np.dtype("<f2")
_BUCKETS = 2**63 - 1


class ImageText(NamedTuple):
    """The features of all captions of an image."""

    image_id: str
    captions: Sequence[str]
    sentences: np.ndarray  # [captions, dim] float16
    words: np.ndarray  # [sum of lengths, dim] float16: of one caption after the other, [CLS] and [SEP] included
    lengths: np.ndarray  # [captions]


class StoredText:
    """The text features of a split, by the number of the record; the stages are those of a `ImageSource`."""

    def __init__(self, index: RecordIndex, text_length: int, dim: int, remedy: str):
        """Reads nothing yet.

        Args:
          index: of the stored features.
          text_length: words a caption is padded to.
          dim: width of the features.
          remedy: what to do about features that are not of the records, for the error.
        """
        self._index = index
        self._text_length = text_length
        self._dim = dim
        self._remedy = remedy

    def fetch(self, numbers: tf.data.Dataset) -> tf.data.Dataset:
        """Reads features in any order.

        Args:
          numbers: dataset of int64 [rows], numbers of records.

        Returns:
          Dataset of scalar strings for `decode`, one by one.
        """
        return self._index.read(numbers)

    def decode(self, serialized: tf.Tensor, number: tf.Tensor, caption: tf.Tensor, image_id: tf.Tensor) -> TextFeatures:
        """Takes the features of one caption, within a `map`.

        Args:
          serialized: scalar string, what was fetched.
          number: scalar, which of the image's captions, from 0.
          caption: scalar string, its text.
          image_id: scalar string, the image that the caption should be of.

        Returns:
          `TextFeatures` of one caption, [dim], [text_length, dim] and scalar: in float16, padded with zeros.

        Raises:
          tf.errors.InvalidArgumentError: the features are of another caption.
        """
        scalar = tf.io.FixedLenFeature([], tf.string)
        several = tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)
        stored = tf.io.parse_single_example(
            serialized,
            {"image_id": scalar, "captions": several, "lengths": several, "sentences": scalar, "words": scalar},
        )
        same_caption = tf.reduce_any(stored["captions"][number : number + 1] == _hash(caption))
        same = (stored["image_id"] == image_id) & same_caption
        told = ["the stored text features are not of the image and caption", image_id, caption, self._remedy]
        with tf.control_dependencies([tf.debugging.Assert(same, told)]):
            length = stored["lengths"][number]
        sentence = self._rows(stored["sentences"], number, 1)  # [1, dim]
        words = self._rows(stored["words"], tf.reduce_sum(stored["lengths"][:number]), length)  # [length, dim]
        words = tf.pad(words, [[0, self._text_length - length], [0, 0]])
        return TextFeatures(
            sentence[0], tf.ensure_shape(words, [self._text_length, self._dim]), tf.cast(length, tf.int32)
        )

    def _rows(self, data: tf.Tensor, first: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
        """Some rows of a matrix of float16 in a string, [count, dim]."""
        row = self._dim * _HALF.itemsize
        part = tf.strings.substr(data, tf.cast(first, tf.int64) * row, tf.cast(count, tf.int64) * row)
        return tf.reshape(tf.io.decode_raw(part, tf.float16, little_endian=True), [-1, self._dim])


def serialize(text: ImageText) -> bytes:
    """A record of `StoredText`.

    Raises:
      ValueError: a feature is not finite in float16.
    """
    if not (np.isfinite(text.sentences).all() and np.isfinite(text.words).all()):
        raise ValueError(
            f"a caption of image {text.image_id} has text features that float16 cannot hold: "
            "train with --noconfig.text.precomputed"
        )

    def bytes_feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def ints_feature(values: np.ndarray) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    feature = {
        "image_id": bytes_feature(text.image_id.encode()),
        "captions": ints_feature(_hash(tf.constant(text.captions, tf.string)).numpy()),
        "lengths": ints_feature(text.lengths),
        "sentences": bytes_feature(text.sentences.astype(_HALF).tobytes()),
        "words": bytes_feature(text.words.astype(_HALF).tobytes()),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


def _hash(captions: tf.Tensor) -> tf.Tensor:
    """63 bits of FarmHash's fingerprint, which is the same on all machines for all time."""
    return tf.strings.to_hash_bucket_fast(captions, _BUCKETS)
