"""Finds the record that made a run fail: TensorFlow names neither the file nor the record."""

from __future__ import annotations

import os

import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import records
from data_pipelines.images import decode_image

# Errors that damaged, replaced or removed records cause. The first ones have no other cause within a pipeline.
_READING = (tf.errors.DataLossError, tf.errors.NotFoundError)
_ERRORS = (*_READING, tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.FailedPreconditionError)


def explain(builder: tfds.core.DatasetBuilder, error: Exception) -> str | None:
    """Explains an error by the first damaged record of a dataset; reads and decodes all records until it is found.

    Args:
      builder: the dataset, from `records.open_dataset`.
      error: what a pipeline that read the dataset raised.

    Returns:
      One line that names the file, the record and the remedy; None if the records are not the cause.
    """
    if not isinstance(error, _ERRORS):
        return None
    folder = os.fspath(builder.data_path)
    for split in builder.info.splits.values():
        for file, length in zip(map(os.fspath, split.filepaths), split.shard_lengths):
            damage = _damage(file, length)
            if damage:
                return f"{file}: {damage}: remove {folder} and convert the dataset again"
    if isinstance(error, _READING) and folder in str(error):
        return f"{folder}: its files changed while they were read: give the same command again"
    return None


def _damage(file: str, length: int) -> str:
    """Says what is wrong with a file of `length` records; '' if nothing is."""
    if not tf.io.gfile.exists(file):
        return "the file is missing"
    count = 0
    try:
        for _ in tf.data.TFRecordDataset(file).map(_check, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True):
            count += 1
    except tf.errors.DataLossError:
        return f"record {count + 1} is damaged"
    except tf.errors.OpError:
        return f"record {count + 1} has no readable image, or no captions"
    return "" if count == length else f"{count} records instead of {length}"


def _check(serialized: tf.Tensor) -> tf.Tensor:
    record = records.parse(serialized)
    tf.debugging.assert_positive(tf.size(record.captions))
    return tf.shape(decode_image(record.image))
