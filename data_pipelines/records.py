"""The schema of a record, one image with all its captions, and the location of a dataset's records.

No other module knows the schema. Every builder writes such records, and the input pipeline reads them.
"""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import datasets, record_damage
from data_pipelines.images import decode_image
from data_pipelines.record_folders import SKIPPED_FILE as SKIPPED_FILE
from data_pipelines.record_folders import VERSION as VERSION
from data_pipelines.record_folders import directory, is_converted
from xmcgan import console, failures

# Resolution of stored coordinates (steps per image side) and times (steps per second), as in the published files.
_STEPS_PER_SIDE, _STEPS_PER_SECOND = 10_000, 1_000


class Narrative(NamedTuple):
    """How one caption was spoken: the timing of its words, and the trace of the mouse (Localized Narratives)."""

    utterances: Sequence[str]  # [utterances] words in order; sometimes one utterance holds two words.
    times: np.ndarray  # [utterances, 2] float32: start and end, in seconds.
    points: np.ndarray  # [points, 3] float32: x and y as shares of the image's sides, y downwards; time in seconds.
    stroke_lengths: np.ndarray  # [strokes] int32: points of each stroke of the mouse; they sum to the number of points.


class Record(NamedTuple):
    """One image with its captions: Python values when written, scalar or 1-D string tensors when read in a graph."""

    image: bytes | tf.Tensor  # A JPEG or PNG file: the published one, byte for byte, if it fits.
    image_id: str | tf.Tensor  # The owner's id.
    file_name: str | tf.Tensor  # Name within the folder of the split.
    captions: Sequence[str] | tf.Tensor  # [captions], at least one, UTF-8, without line breaks or stray spaces.
    labels: Sequence[str] | tf.Tensor  # [labels] names of the object classes in the image, each once; may be empty.
    narratives: Sequence[Narrative] = ()  # One for each caption if the captions were spoken, else empty.


def features() -> tfds.features.FeaturesDict:
    """Returns the TFDS features of a `Record`, by field name.

    The narratives of an image are concatenated, and `narratives/*_counts` hold the numbers of utterances and strokes of
    each. Values are small integers, which take a few bytes per point.
    """
    types = tfds.features
    return types.FeaturesDict(
        {
            "image": types.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "image_id": types.Text(),
            "file_name": types.Text(),
            "captions": types.Sequence(types.Text()),
            "labels": types.Sequence(types.Text()),
            "narratives": {
                "utterances": types.Sequence(types.Text()),
                "utterance_counts": types.Tensor(shape=(None,), dtype=np.int32),
                "times": types.Tensor(shape=(None, 2), dtype=np.int32),  # Milliseconds.
                "points": types.Tensor(shape=(None, 3), dtype=np.int32),  # 1/10,000 of a side; ms since the last point.
                "stroke_lengths": types.Tensor(shape=(None,), dtype=np.int32),
                "stroke_counts": types.Tensor(shape=(None,), dtype=np.int32),
            },
        }
    )


def to_example(record: Record) -> dict[str, Any]:
    """Converts a record to the example that a TFDS builder yields for it."""
    spoken = record.narratives

    def joined(arrays: Sequence[np.ndarray], width: int) -> np.ndarray:
        return np.concatenate([np.zeros((0, width), np.int32), *arrays])

    return {
        **record._asdict(),
        "narratives": {
            "utterances": [utterance for each in spoken for utterance in each.utterances],
            "utterance_counts": np.array([len(each.utterances) for each in spoken], np.int32),
            "times": joined([_to_int(each.times, _STEPS_PER_SECOND) for each in spoken], 2),
            "points": joined([_encode_points(each.points) for each in spoken], 3),
            "stroke_lengths": np.concatenate([np.zeros(0, np.int32), *(each.stroke_lengths for each in spoken)]),
            "stroke_counts": np.array([len(each.stroke_lengths) for each in spoken], np.int32),
        },
    }


def from_example(example: Mapping[str, Any]) -> Record:
    """Converts an example read by TFDS back to the whole record, including narratives; the image stays encoded.

    Args:
      example: one element of `open_dataset(...).as_dataset(decoders={'image': tfds.decode.SkipDecoding()})` as NumPy.

    Returns:
      The record as Python values.
    """
    flat = example["narratives"]
    narratives, utterance, stroke, point = [], 0, 0, 0
    for num_utterances, num_strokes in zip(flat["utterance_counts"], flat["stroke_counts"]):
        stroke_lengths = flat["stroke_lengths"][stroke : stroke + num_strokes]
        num_points = int(stroke_lengths.sum())
        words = slice(utterance, utterance + num_utterances)
        narratives.append(
            Narrative(
                utterances=[text.decode() for text in flat["utterances"][words]],
                times=flat["times"][words].astype(np.float32) / _STEPS_PER_SECOND,
                points=_decode_points(flat["points"][point : point + num_points]),
                stroke_lengths=stroke_lengths,
            )
        )
        utterance, stroke, point = utterance + num_utterances, stroke + num_strokes, point + num_points
    return Record(
        image=bytes(example["image"]),
        image_id=example["image_id"].decode(),
        file_name=example["file_name"].decode(),
        captions=[caption.decode() for caption in example["captions"]],
        labels=[label.decode() for label in example["labels"]],
        narratives=narratives,
    )


def parse(serialized: tf.Tensor) -> Record:
    """Parses the fields of a record that training needs, in a graph, without decoding the image.

    Args:
      serialized: scalar string, one element of a TFRecord file.

    Returns:
      The record as string tensors: scalars, except for `captions` [captions] and `labels` [labels]. It has no
      narratives.
    """
    scalar = tf.io.FixedLenFeature([], tf.string)
    sequence = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
    return Record(
        **tf.io.parse_single_example(
            serialized,
            {"image": scalar, "image_id": scalar, "file_name": scalar, "captions": sequence, "labels": sequence},
        )
    )


def open_dataset(dataset: str, data_dir: str | os.PathLike) -> tfds.core.DatasetBuilder:
    """Opens a converted dataset, for its splits, file names and counts.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      data_dir: folder of all records.

    Returns:
      A read-only TFDS builder.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message names the command.
      ValueError: the description of the records is damaged.
    """
    if not is_converted(dataset, data_dir):
        source = "" if datasets.is_drawn(dataset) else " --source=<folder with the published files>"
        raise FileNotFoundError(
            f"no records of dataset '{dataset}' in {directory(dataset, data_dir)}: make them with "
            f"`python -m data_pipelines.convert --dataset={dataset}{source} "
            f"{shlex.quote(f'--data_dir={os.fspath(data_dir)}')}`"
        )
    folder = directory(dataset, data_dir)
    remedy = f"remove {os.fspath(folder)} and convert the dataset again"
    try:
        with console.quiet_libraries():
            builder = tfds.builder_from_directory(folder)
            splits = builder.info.splits.values()
            lengths = {
                os.fspath(file): length
                for split in splits
                for file, length in zip(split.filepaths, split.shard_lengths)
            }
            sizes = {name: split.num_examples for name, split in builder.info.splits.items()}
    except PermissionError:
        raise
    except Exception as error:  # TFDS raises errors of many types for descriptions that are damaged.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{os.fspath(folder)} has no usable dataset_info.json or features.json ({reason}): {remedy}"
        ) from error
    if any(epath.Path(file).parent != folder for file in lengths):
        raise ValueError(f"{os.fspath(folder / 'dataset_info.json')} names files in other folders: {remedy}")
    empty = [name for name, size in sizes.items() if size < 1]
    if empty or not sizes:
        raise ValueError(f"{os.fspath(folder)} has no records{' of '.join(['', *empty])}: {remedy}")
    failures.add_explainer(
        os.fspath(folder), functools.partial(record_damage.explain, folder, lengths, remedy, check_record)
    )
    return builder


def split_info(dataset: str, split: str, data_dir: str | os.PathLike) -> tfds.core.SplitInfo:
    """Returns what is known about a split of a converted dataset: its files, and the number of records in each.

    Raises:
      FileNotFoundError: see `open_dataset`.
      ValueError: see `open_dataset`, or there is no such split.
    """
    splits = open_dataset(dataset, data_dir).info.splits
    if split not in splits:
        folder = os.fspath(directory(dataset, data_dir))
        raise ValueError(f"{folder} has no split '{split}': remove {folder} and convert the dataset again")
    return splits[split]


def check_record(serialized: tf.Tensor) -> tf.Tensor:
    """Raises TensorFlow's error, in a graph, if a serialized record has no readable image or no captions.

    Returns:
      The size of its image, [3] int32.
    """
    record = parse(serialized)
    tf.debugging.assert_positive(tf.size(record.captions))
    return tf.shape(decode_image(record.image))


def _to_int(values: np.ndarray, steps: int) -> np.ndarray:
    return np.rint(np.asarray(values, np.float64) * steps).astype(np.int32)


def _encode_points(points: np.ndarray) -> np.ndarray:
    """Converts shares and seconds to integers, [points, 3]; times become differences, which take fewer bytes."""
    places, ticks = _to_int(points[:, :2], _STEPS_PER_SIDE), _to_int(points[:, 2:], _STEPS_PER_SECOND)
    return np.concatenate([places, np.diff(ticks, axis=0, prepend=0)], axis=1, dtype=np.int32)


def _decode_points(points: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [points[:, :2] / _STEPS_PER_SIDE, np.cumsum(points[:, 2:], axis=0) / _STEPS_PER_SECOND],
        axis=1,
        dtype=np.float32,
    )
