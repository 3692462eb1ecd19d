"""Finds the record that made a run fail: TensorFlow names neither the file nor the record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import tensorflow as tf

# Errors that damaged, replaced or removed records cause. The first ones have no other cause within a pipeline.
_READING = (tf.errors.DataLossError, tf.errors.NotFoundError)
_ERRORS = (*_READING, tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, tf.errors.FailedPreconditionError)


def explain(
    folder: str | os.PathLike,
    lengths: Mapping[str, int],
    remedy: str,
    check: Callable[[tf.Tensor], tf.Tensor],
    error: Exception,
) -> str | None:
    """Explains an error by the first damaged record of some files; reads all records until it is found.

    Args:
      folder: folder of the files.
      lengths: the number of records in each TFRecord file, by its path.
      remedy: what to do about damaged files.
      check: raises TensorFlow's error if a serialized record, a scalar string, cannot be used; runs in a graph.
      error: what a pipeline that read the files raised.

    Returns:
      One line that names the file, the record and the remedy; None if the files are not the cause.
    """
    if not isinstance(error, _ERRORS):
        return None
    for file, length in lengths.items():
        damage = _damage(file, length, check)
        if damage:
            return f"{file}: {damage}: {remedy}"
    if isinstance(error, _READING) and os.fspath(folder) in str(error):
        return f"{os.fspath(folder)}: its files changed while they were read: give the same command again"
    return None


def _damage(file: str, length: int, check: Callable[[tf.Tensor], tf.Tensor]) -> str:
    """Says what is wrong with a file of `length` records; '' if nothing is."""
    if not tf.io.gfile.exists(file):
        return "the file is missing"
    count = 0
    try:
        for _ in tf.data.TFRecordDataset(file).map(check, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True):
            count += 1
    except tf.errors.DataLossError:
        return f"record {count + 1} is damaged"
    except tf.errors.OpError:
        return f"record {count + 1} has no readable image, or no captions"
    return "" if count == length else f"{count} records instead of {length}"
