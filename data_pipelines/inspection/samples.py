"""Samples records at random, without reading the others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import record_index, records
from data_pipelines.records import Record


class Sample(NamedTuple):
    """A record and its split."""

    split: str
    record: Record


def draw(
    builder: tfds.core.DatasetBuilder, folder: str | os.PathLike, splits: Sequence[str], number: int, seed: int
) -> list[Sample]:
    """Samples records without replacement, about the same number from each split.

    Args:
      builder: the dataset, as returned by `records.open_dataset`.
      folder: folder of its records.
      splits: the splits to sample from.
      number: total number of records; fewer are returned if a split has too few.
      seed: seed of the sample; the same seed always gives the same records.

    Returns:
      The records with their narratives, in the order of `splits`.
    """
    shares = [len(share) for share in np.array_split(np.arange(number), len(splits))]
    return [
        Sample(split, record)
        for place, (split, share) in enumerate(zip(splits, shares))
        for record in _draw_from_split(builder, folder, split, share, [seed, place])
    ]


def _draw_from_split(
    builder: tfds.core.DatasetBuilder, folder: str | os.PathLike, split: str, number: int, seed: list[int]
) -> list[Record]:
    info = builder.info.splits[split]
    index = record_index.load(folder, split, info.filepaths, info.shard_lengths)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(index))[:number])  # In the order of the files.
    features, decoders = builder.info.features, {"image": tfds.decode.SkipDecoding()}

    @tf.autograph.experimental.do_not_convert
    def example(serialized: tf.Tensor) -> dict[str, Any]:
        return features.deserialize_example(serialized, decoders=decoders)

    examples = index.read(tf.data.Dataset.from_tensors(drawn.astype(np.int64))).map(example)
    return [records.from_example(example) for example in examples.as_numpy_iterator()]
