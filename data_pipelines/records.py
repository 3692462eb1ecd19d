"""The record: one picture with all its captions, and where the records of a dataset lie.

This is the one place that knows the schema. Every builder writes it, the input pipeline reads it.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_datasets as tfds

# Version of the schema, part of the records' path: records of another version are never mistaken for these.
VERSION = "1.0.0"
# Pictures that a conversion left out, one JSON line each, beside the records.
SKIPPED_FILE = "skipped.jsonl"


class Record(NamedTuple):
    """One picture with its captions: Python values when written, scalar or 1-D string tensors when read."""

    image: bytes | tf.Tensor  # The JPEG file as published, byte for byte.
    image_id: str | tf.Tensor  # As its owner gave it.
    file_name: str | tf.Tensor  # Within its split's folder.
    captions: Sequence[str] | tf.Tensor  # [captions], at least one, UTF-8, clean of line breaks and stray spaces.
    labels: Sequence[str] | tf.Tensor  # [labels] names of the object classes in the picture, each once; may be empty.


def features() -> tfds.features.FeaturesDict:
    """The TFDS features of a `Record`, by its field names."""
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "image_id": tfds.features.Text(),
            "file_name": tfds.features.Text(),
            "captions": tfds.features.Sequence(tfds.features.Text()),
            "labels": tfds.features.Sequence(tfds.features.Text()),
        }
    )


def to_example(record: Record) -> dict[str, Any]:
    """What a TFDS builder yields for a record."""
    return record._asdict()


def parse(serialized: tf.Tensor) -> Record:
    """Reads a record without decoding its picture.

    Args:
      serialized: scalar string, one element of a TFRecord file.

    Returns:
      The record as string tensors: scalars, and `captions` and `labels` of shape [captions] and [labels].
    """
    scalar = tf.io.FixedLenFeature([], tf.string)
    several = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    return Record(
        **tf.io.parse_single_example(
            serialized,
            {"image": scalar, "image_id": scalar, "file_name": scalar, "captions": several, "labels": several},
        )
    )


def directory(dataset: str, data_dir: str | os.PathLike) -> pathlib.Path:
    """Where the records of a dataset lie, as TFDS names it: `<data_dir>/<dataset>/<version>`."""
    return pathlib.Path(data_dir).expanduser() / dataset / VERSION


def is_converted(dataset: str, data_dir: str | os.PathLike) -> bool:
    """Whether the records of a dataset are there, whole: a conversion renames its folder when it has finished."""
    return (directory(dataset, data_dir) / "dataset_info.json").is_file()


def open_dataset(dataset: str, data_dir: str | os.PathLike) -> tfds.core.DatasetBuilder:
    """The converted dataset, for its splits, file names and counts.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      data_dir: folder of all records.

    Returns:
      A read-only TFDS builder.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
    """
    if not is_converted(dataset, data_dir):
        source = "" if dataset == "scenes" else f" --source={_SOURCES.get(dataset, '<folder with the raw data>')}"
        raise FileNotFoundError(
            f"no records of dataset '{dataset}' in {directory(dataset, data_dir)}: make them by "
            f"`python -m data_pipelines.convert --dataset={dataset}{source} --data_dir={os.fspath(data_dir)}`"
        )
    return tfds.builder_from_directory(directory(dataset, data_dir))


# What the source folder of a dataset holds, for messages.
_SOURCES = {"coco2014": "<folder with train2014/, val2014/, annotations/>"}
