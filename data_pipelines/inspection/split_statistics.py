"""Statistics of a split, from one pass over its records, in memory that does not grow with the split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from data_pipelines.images import stored_size
from data_pipelines.inspection.histograms import Histogram
from data_pipelines.inspection.tokens import TokenCounter
from xmcgan import console

# Number of records that are counted together, without their images.
_BATCH = 256
# Number of TFRecord files read in parallel, and of records read from one file before switching to the next. Both are
# small, because the records are held in memory with their images: 16 files and 16 records take 1.5 GB instead of
# 0.8 GB, at the same speed.
_PARALLEL_FILES, _RECORDS_PER_TURN = 4, 4


@dataclasses.dataclass
class SplitStatistics:
    """Counts and histograms of a split."""

    # Total size of the image files.
    num_bytes: int = 0
    # Number of images with object classes.
    num_labelled: int = 0
    # (width, height) of each image, in pixels.
    sizes: Histogram[tuple[int, int]] = dataclasses.field(default_factory=Histogram)
    # Size of each image's file in units of 0.1 kB, rounded down.
    hectobytes: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Number of captions of each image.
    captions: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Number of words of each caption, separated by white space.
    words: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Number of tokens of each caption, including [CLS] and [SEP]; empty if tokens are not counted.
    tokens: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Number of images with each object class.
    labels: Histogram[str] = dataclasses.field(default_factory=Histogram)
    # Number of points in the traces of each narrative; 0 for narratives without traces.
    points: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Time at which the last word of each narrative with timed words ends, in units of 0.1 s, rounded down.
    deciseconds: Histogram[int] = dataclasses.field(default_factory=Histogram)

    @property
    def num_images(self) -> int:
        """Number of images."""
        return self.captions.size

    @property
    def num_captions(self) -> int:
        """Number of captions."""
        return self.words.size

    @property
    def num_traced(self) -> int:
        """Number of narratives with traces."""
        return self.points.size - self.points[0]


def measure_split(
    builder: tfds.core.DatasetBuilder, split: str, token_counter: TokenCounter | None = None
) -> SplitStatistics:
    """Measures a split in one pass, with a progress bar on a terminal.

    Images are not decoded; their sizes are read from their headers.

    Args:
      builder: the dataset, as returned by `records.open_dataset`.
      split: name of the split.
      token_counter: counts the tokens of captions; if None, tokens are not counted.

    Returns:
      The statistics.
    """
    reading = tfds.ReadConfig(
        try_autocache=False,
        interleave_cycle_length=_PARALLEL_FILES,
        interleave_block_length=_RECORDS_PER_TURN,
        skip_prefetch=True,
    )
    with console.quiet_libraries():
        examples = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()}, read_config=reading)

    @tf.autograph.experimental.do_not_convert  # AutoGraph has nothing to convert in these, but takes a second.
    def count_in_batch(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return _numbers(batch, token_counter)

    batches = (
        examples.map(_without_image, num_parallel_calls=tf.data.AUTOTUNE)
        .ragged_batch(_BATCH)
        .map(count_in_batch, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    statistics = SplitStatistics()
    total = builder.info.splits[split].num_examples
    with tqdm.tqdm(total=total, desc=f"inspecting {split}", unit="image", disable=None) as progress:
        for batch in batches.as_numpy_iterator():
            _add(statistics, batch)
            progress.update(len(batch["num_bytes"]))
    return statistics


@tf.autograph.experimental.do_not_convert
def _without_image(example: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Returns the fields of a record that are counted."""
    spoken = example["narratives"]
    return {
        "size": stored_size(example["image"]),
        "num_bytes": tf.strings.length(example["image"]),
        "captions": example["captions"],
        "labels": example["labels"],
        "utterance_counts": spoken["utterance_counts"],
        "ends": spoken["times"][:, 1],
        "stroke_counts": spoken["stroke_counts"],
        "stroke_lengths": spoken["stroke_lengths"],
    }


def _numbers(batch: Mapping[str, tf.Tensor], token_counter: TokenCounter | None) -> dict[str, tf.Tensor]:
    """Computes what is counted in a batch; the values of captions and narratives are flattened over the images.

    Args:
      batch: a batch of results of `_without_image`, [batch, ...], ragged where an image may have several values.
      token_counter: counts the tokens of captions; if None, tokens are not counted.

    Returns:
      The values that `_add` adds to the statistics.
    """
    captions = batch["captions"].flat_values  # [captions of the batch]
    # One row for each narrative; the narratives of all images are concatenated.
    ends = tf.RaggedTensor.from_row_lengths(batch["ends"].flat_values, batch["utterance_counts"].flat_values)
    strokes = tf.RaggedTensor.from_row_lengths(batch["stroke_lengths"].flat_values, batch["stroke_counts"].flat_values)
    timed = tf.ragged.boolean_mask(ends, ends.row_lengths() > 0)
    return {
        "size": batch["size"],  # [batch, 2]
        "num_bytes": batch["num_bytes"],  # [batch]
        "captions_per_image": batch["captions"].row_lengths(),  # [batch]
        "captions": captions,
        "tokens": tf.zeros([0], tf.int64) if token_counter is None else token_counter.count(captions),
        "labels": batch["labels"].flat_values,
        "labels_per_image": batch["labels"].row_lengths(),  # [batch]
        "points": tf.reduce_sum(strokes, axis=1),  # [narratives of the batch]
        "milliseconds": tf.reduce_max(timed, axis=1),  # [narratives with timed words]
    }


def _add(statistics: SplitStatistics, batch: Mapping[str, Any]) -> None:
    statistics.num_bytes += int(batch["num_bytes"].sum(dtype="int64"))
    statistics.num_labelled += int((batch["labels_per_image"] > 0).sum())
    statistics.sizes.update((width, height) for height, width in batch["size"].tolist())
    statistics.hectobytes.add_values(batch["num_bytes"] // 100)
    statistics.captions.add_values(batch["captions_per_image"])
    statistics.words.update(len(caption.split()) for caption in batch["captions"])
    statistics.tokens.add_values(batch["tokens"])
    statistics.labels.update(label.decode() for label in batch["labels"])
    statistics.points.add_values(batch["points"])
    statistics.deciseconds.add_values(batch["milliseconds"] // 100)
