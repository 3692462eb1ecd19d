"""What is in a split, in one pass over its records and in memory that does not grow with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from data_pipelines.inspection.histograms import Histogram
from data_pipelines.inspection.tokens import TokenCounter
from xmcgan import console

# Records whose numbers are added up at once. Their images are not among them.
_BATCH = 256
# TFRecord files read at once, and records of one file before the next one's turn: few, as their images wait in memory
# (with 16 of each, 1.5 GB instead of 0.8 GB at the same speed).
_FILES, _BLOCK = 4, 4


@dataclasses.dataclass
class SplitStatistics:
    """Histograms of a split."""

    # Of all images' JPEG files.
    num_bytes: int = 0
    # Images with object classes.
    num_labelled: int = 0
    # (width, height) of each image, in pixels.
    sizes: Histogram[tuple[int, int]] = dataclasses.field(default_factory=Histogram)
    # Length of each image's file, 1/10 kB, rounded down.
    hectobytes: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Captions of each image.
    captions: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Words of each caption: what stands between white space.
    words: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Tokens of each caption, [CLS] and [SEP] included; may be empty.
    tokens: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Images of each object class.
    labels: Histogram[str] = dataclasses.field(default_factory=Histogram)
    # Points of the traces of each narrative; 0 without traces.
    points: Histogram[int] = dataclasses.field(default_factory=Histogram)
    # Length of each narrative with timed words, 1/10 s, rounded down.
    deciseconds: Histogram[int] = dataclasses.field(default_factory=Histogram)

    @property
    def num_images(self) -> int:
        """Images of the split."""
        return self.captions.size

    @property
    def num_captions(self) -> int:
        """Captions of the split."""
        return self.words.size

    @property
    def num_traced(self) -> int:
        """Narratives with traces."""
        return self.points.size - self.points[0]


def measure_split(
    builder: tfds.core.DatasetBuilder, split: str, token_counter: TokenCounter | None = None
) -> SplitStatistics:
    """Goes once through a split, and shows how far it is on a terminal.

    Images are not decoded: their headers say how large they are.

    Args:
      builder: the dataset, of `records.open_dataset`.
      split: name of the split.
      token_counter: counts the captions' tokens; None leaves these out.

    Returns:
      The statistics.
    """
    reading = tfds.ReadConfig(
        try_autocache=False, interleave_cycle_length=_FILES, interleave_block_length=_BLOCK, skip_prefetch=True
    )
    with console.quiet_libraries():
        examples = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()}, read_config=reading)

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


def _without_image(example: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """What is to be counted of one record."""
    spoken = example["narratives"]
    return {
        "size": tf.io.extract_jpeg_shape(example["image"])[:2],  # Height and width.
        "num_bytes": tf.strings.length(example["image"]),
        "captions": example["captions"],
        "labels": example["labels"],
        "utterance_counts": spoken["utterance_counts"],
        "ends": spoken["times"][:, 1],
        "stroke_counts": spoken["stroke_counts"],
        "stroke_lengths": spoken["stroke_lengths"],
    }


def _numbers(batch: Mapping[str, tf.Tensor], token_counter: TokenCounter | None) -> dict[str, tf.Tensor]:
    """The numbers of a batch: those of captions and narratives flat, whatever image they belong to.

    Args:
      batch: of `_without_image`, [batch, ...], ragged where images have several.
      token_counter: None leaves the tokens out.

    Returns:
      What `_add` adds up.
    """
    captions = batch["captions"].flat_values  # [captions of the batch]
    # All narratives of all images lie end to end.
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
