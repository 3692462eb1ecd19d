"""Records -> batches of pictures with one caption each: a pure function of the seed and of the place in the stream."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines import records

# Record files read in turns, so many records at a time. Fixed numbers: the order must not depend on the machine.
_FILES_AT_ONCE, _RECORDS_IN_TURN = 16, 16
# What a random number is drawn for; keeps the streams of one seed apart.
_FILE_ORDER, _RECORD_ORDER, _CAPTION, _FLIP = range(4)


class Batch(NamedTuple):
    """Pictures, one caption each, and where they come from."""

    image: tf.Tensor  # [batch, size, size, 3] float32 in [0, 1]
    caption: tf.Tensor  # [batch] string, UTF-8
    image_id: tf.Tensor  # [batch] string


def num_examples(dataset: str, split: str, data_dir: str | os.PathLike) -> int:
    """How many pictures a split has.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      split: 'train' or 'validation'.
      data_dir: folder of all records.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
    """
    return records.open_dataset(dataset, data_dir).info.splits[split].num_examples


def training_batches(
    dataset: str,
    data_dir: str | os.PathLike,
    *,
    batch_size: int,
    image_size: int,
    random_flip: bool = False,
    shuffle_buffer: int = 10_000,
    seed: int = 0,
    start_batch: int = 0,
) -> tf.data.Dataset:
    """The endless stream of training batches, from batch number `start_batch` on.

    Element `p` of the stream belongs to epoch `p // N` of `N` pictures. Every epoch has an order of its own, drawn
    from (seed, epoch); caption and flip are drawn from (seed, p). So a stream that starts late goes on exactly like
    one that started at 0. Epochs follow each other without a gap: a batch may span two, or more if N is small.

    To start late, the records of the current epoch before the start are read, not decoded.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      data_dir: folder of all records.
      batch_size: pictures a batch, always full.
      image_size: pixels a side, resized without crop (design: settled answers).
      random_flip: mirror every other picture, by lot.
      shuffle_buffer: records, undecoded, held in memory to draw the next one from.
      seed: of order, captions and flips, at least 0.
      start_batch: number of the first batch, at least 0.

    Returns:
      An infinite dataset of `Batch`.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
      ValueError: an argument is out of its range.
    """
    for name, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0), ("start_batch", start_batch, 0)):
        if value < least:
            raise ValueError(f"{name}={value} is too small: set it to {least} or more")
    files, size = _files(dataset, "train", data_dir)
    first_epoch, num_skipped = divmod(start_batch * batch_size, size)

    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        """(position, serialized record) of one epoch, in its own order."""
        shuffled_files = tf.random.experimental.stateless_shuffle(files, _key(seed, _FILE_ORDER, epoch))
        shuffled = _read(shuffled_files).shuffle(
            shuffle_buffer, seed=_draw(seed, _RECORD_ORDER, epoch, maximum=2**31), reshuffle_each_iteration=False
        )
        numbered = shuffled.enumerate(start=epoch * size)
        return numbered.skip(tf.where(epoch == first_epoch, tf.constant(num_skipped, tf.int64), 0))

    def example(position: tf.Tensor, serialized: tf.Tensor) -> Batch:
        record = records.parse(serialized)
        image = _picture(record.image, image_size)
        if random_flip:
            image = tf.cond(
                _draw(seed, _FLIP, position, maximum=2) == 1, lambda: tf.image.flip_left_right(image), lambda: image
            )
        number = _draw(seed, _CAPTION, position, maximum=tf.size(record.captions, tf.int64))
        return Batch(image, record.captions[number], record.image_id)

    epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
    examples = epochs.flat_map(epoch_records).map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return _finish(examples.batch(batch_size, drop_remainder=True))


def evaluation_batches(
    dataset: str,
    split: str,
    data_dir: str | os.PathLike,
    *,
    batch_size: int,
    image_size: int,
    num_captions: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """A random list of (picture, caption) pairs of a split: the same whatever the model and the batch size.

    Up to N = pictures of the split, every picture comes at most once. Beyond, the split is gone through again, each
    time with the next of a picture's captions, so that no pair comes twice before all of a picture's have come.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      split: 'train' or 'validation'.
      data_dir: folder of all records.
      batch_size: pictures a batch; the last one may have fewer.
      image_size: pixels a side, resized without crop.
      num_captions: length of the list, at least 1.
      seed: of the list, at least 0.

    Returns:
      A dataset of `Batch`, `num_captions` pairs in all.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
      ValueError: `num_captions` is less than 1.
    """
    if num_captions < 1:
        raise ValueError(f"num_captions={num_captions} is too small: set it to 1 or more")
    files, size = _files(dataset, split, data_dir)
    # Whole passes take every picture; the last one takes some, drawn by lot.
    num_passes, rest = divmod(num_captions, size)
    in_rest = np.zeros(size, bool)
    in_rest[np.random.default_rng([seed, size]).permutation(size)[:rest]] = True

    def pass_records(number: tf.Tensor) -> tf.data.Dataset:
        numbered = _read(tf.constant(files)).enumerate()
        taken = numbered.filter(lambda index, _: (number < num_passes) | tf.gather(in_rest, index))
        return taken.map(lambda index, serialized: (number, index, serialized))

    def example(number: tf.Tensor, index: tf.Tensor, serialized: tf.Tensor) -> Batch:
        record = records.parse(serialized)
        count = tf.size(record.captions, tf.int64)
        caption = record.captions[(_draw(seed, _CAPTION, index, maximum=count) + number) % count]
        return Batch(_picture(record.image, image_size), caption, record.image_id)

    passes = tf.data.Dataset.range(num_passes + (rest > 0))
    examples = passes.flat_map(pass_records).map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    cardinality = tf.data.experimental.assert_cardinality(-(-num_captions // batch_size))
    return _finish(examples.batch(batch_size).apply(cardinality))


def _files(dataset: str, split: str, data_dir: str | os.PathLike) -> tuple[list[str], int]:
    """The record files of a split, and how many records they hold together."""
    info = records.open_dataset(dataset, data_dir).info.splits[split]
    return [os.fspath(path) for path in info.filepaths], info.num_examples


def _read(files: tf.Tensor) -> tf.data.Dataset:
    """Serialized records of several files, interleaved in a fixed order."""
    return tf.data.Dataset.from_tensor_slices(files).interleave(
        tf.data.TFRecordDataset,
        cycle_length=_FILES_AT_ONCE,
        block_length=_RECORDS_IN_TURN,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _picture(jpeg: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes a JPEG and resizes it bilinearly: [size, size, 3] float32 in [0, 1]."""
    pixels = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
    # Plain bilinear sampling: a low-pass filter before it (antialias=True) halves the pictures per second.
    pixels = tf.image.resize(pixels, (size, size), method="bilinear")
    return tf.ensure_shape(pixels / 255, (size, size, 3))


def _key(seed: int, purpose: int, position: tf.Tensor) -> tf.Tensor:
    """The seed, [2], of a stateless random op."""
    return tf.stack([tf.constant(4 * seed + purpose, tf.int64), position])


def _draw(seed: int, purpose: int, position: tf.Tensor, maximum: int | tf.Tensor) -> tf.Tensor:
    """A number in 0 .. maximum - 1 (int64 scalar), fixed by what it is drawn for and where in the stream."""
    key = _key(seed, purpose, position)
    return tf.random.stateless_uniform([], key, minval=0, maxval=tf.cast(maximum, tf.int64), dtype=tf.int64)


def _finish(batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # Workers of a cluster each read all records and take their part of every batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
