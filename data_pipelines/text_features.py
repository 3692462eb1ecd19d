"""The records of stored text features: a frozen text encoder's output for the captions of an image, in float16.

A record holds the features of all captions of one image, without padding. It also holds the image id and a 63-bit hash
of each caption. Reading compares both with the image and caption that were requested.
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
    words: np.ndarray  # [sum of lengths, dim] float16: concatenated over the captions, including [CLS] and [SEP]
    lengths: np.ndarray  # [captions] words of each caption


class StoredText:
    """The text features of a split, by record number, read in the same two stages as an `ImageSource`."""

    def __init__(self, index: RecordIndex, text_length: int, dim: int, remedy: str):
        """Keeps the arguments; reads nothing yet.

        Args:
          index: index of the stored features.
          text_length: number of words that captions are padded to.
          dim: dimension of the features.
          remedy: for the error message, what to do if the features do not belong to the records.
        """
        self._index = index
        self._text_length = text_length
        self._dim = dim
        self._remedy = remedy

    def fetch(self, numbers: tf.data.Dataset) -> tf.data.Dataset:
        """Reads features in any order.

        Args:
          numbers: dataset of record numbers, int64 [numbers].

        Returns:
          Dataset of scalar strings for `decode`.
        """
        return self._index.read(numbers)

    def decode(self, serialized: tf.Tensor, number: tf.Tensor, caption: tf.Tensor, image_id: tf.Tensor) -> TextFeatures:
        """Decodes the features of one caption; called within `Dataset.map`.

        Args:
          serialized: scalar string, an element of `fetch`.
          number: scalar, number of the caption among the image's captions, from 0.
          caption: scalar string, the expected text of the caption.
          image_id: scalar string, the expected image.

        Returns:
          `TextFeatures` of one caption, [dim], [text_length, dim] and scalar, in float16, padded with zeros.

        Raises:
          tf.errors.InvalidArgumentError: the features belong to another image or caption.
        """
        scalar = tf.io.FixedLenFeature([], tf.string)
        sequence = tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)
        stored = tf.io.parse_single_example(
            serialized,
            {"image_id": scalar, "captions": sequence, "lengths": sequence, "sentences": scalar, "words": scalar},
        )
        same_caption = tf.reduce_any(stored["captions"][number : number + 1] == _hash(caption))
        same = (stored["image_id"] == image_id) & same_caption
        message = ["the stored text features do not belong to the image and caption", image_id, caption, self._remedy]
        with tf.control_dependencies([tf.debugging.Assert(same, message)]):
            length = stored["lengths"][number]
        sentence = self._rows(stored["sentences"], number, 1)  # [1, dim]
        words = self._rows(stored["words"], tf.reduce_sum(stored["lengths"][:number]), length)  # [length, dim]
        words = tf.pad(words, [[0, self._text_length - length], [0, 0]])
        return TextFeatures(
            sentence[0], tf.ensure_shape(words, [self._text_length, self._dim]), tf.cast(length, tf.int32)
        )

    def _rows(self, data: tf.Tensor, first: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
        """Decodes `count` rows, from row `first` on, of a float16 matrix stored as a string: [count, dim]."""
        row_bytes = self._dim * _HALF.itemsize
        selected = tf.strings.substr(data, tf.cast(first, tf.int64) * row_bytes, tf.cast(count, tf.int64) * row_bytes)
        return tf.reshape(tf.io.decode_raw(selected, tf.float16, little_endian=True), [-1, self._dim])


def serialize(text: ImageText) -> bytes:
    """Serializes the features of an image's captions to a record that `StoredText` reads.

    Raises:
      ValueError: a feature is not finite in float16.
    """
    if not (np.isfinite(text.sentences).all() and np.isfinite(text.words).all()):
        raise ValueError(
            f"a caption of image {text.image_id} has text features beyond the range of float16: "
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
    """Returns 63 bits of FarmHash's fingerprint, which is the same on all machines and in all versions."""
    return tf.strings.to_hash_bucket_fast(captions, _BUCKETS)
