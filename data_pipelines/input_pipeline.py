"""Records -> batches of images with one caption each: a pure function of the seed and of the place in the stream."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines import image_source, record_index, records
from data_pipelines.image_source import ImageSource
from data_pipelines.record_index import RecordIndex
from data_pipelines.text_features import StoredText
from xmcgan.models.text_encoder import TextFeatures

CACHES = {"none": image_source.reread, "memory": image_source.in_memory}
# Of the cipher that permutes an epoch. With TensorFlow's own 4, the orders of successive epochs of COCO-14 correlate by
# 0.3; from 8 on nothing is left of that.
_CIPHER_ROUNDS = 24
# Batches of the host made ahead: few, since one of 256 images of 256 px takes 50 MB.
_AHEAD = 2


class Batch(NamedTuple):
    """Images, one caption each, and where they come from."""

    image: tf.Tensor  # [batch, size, size, 3] uint8, levels 0 to 255
    caption: tf.Tensor  # [batch] string, UTF-8
    image_id: tf.Tensor  # [batch] string


class EncodedBatch(NamedTuple):
    """A `Batch` with the stored features of its captions."""

    image: tf.Tensor  # [batch, size, size, 3] uint8, levels 0 to 255
    caption: tf.Tensor  # [batch] string, UTF-8
    image_id: tf.Tensor  # [batch] string
    text: TextFeatures  # float16, padded with zeros


def num_examples(dataset: str, split: str, data_dir: str | os.PathLike) -> int:
    """How many images a split has.

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
    seed: int = 0,
    start_batch: int = 0,
    cache: str = "none",
    stored_text: StoredText | None = None,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """The endless stream of training batches, from batch number `start_batch` on.

    Element `p` of the stream belongs to epoch `p // N` of `N` images. The order of an epoch is a permutation of the
    split drawn from (seed, epoch), caption and flip are drawn from (seed, p). So a stream that starts late goes on
    exactly like one that started at 0, and at once: nothing before the start is read. Epochs follow each other without
    a gap: a batch may span two, or more if N is small.

    The stream is the same on one host and on many. Each host reads and decodes its own rows of every batch alone:
    consecutive ones, those of host 0 first. Its replicas receive them in turn, [batch_size / replicas] at a time.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      data_dir: folder of all records, on a disk that every host can read at random.
      batch_size: images a batch of all replicas of all hosts together, always full.
      image_size: pixels a side, resized without crop (design: settled answers).
      random_flip: mirror every other image, by lot.
      seed: of order, captions and flips, at least 0.
      start_batch: number of the first batch, at least 0.
      cache: a key of CACHES: images are read and decoded again in each epoch ('none'), or once ('memory').
      stored_text: features of the training captions, to come with them; read again in each epoch.
      context: which host this is, and the number of hosts and replicas: of `distribute_datasets_from_function`.
        By default there is one of each.

    Returns:
      An infinite dataset of `Batch`, or with `stored_text` of `EncodedBatch`, a replica's rows in each element.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
      ValueError: an argument is out of its range, the replicas cannot share a batch evenly, the index does not fit
        the records, or the cache does not fit into memory.
    """
    for name, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0), ("start_batch", start_batch, 0)):
        if value < least:
            raise ValueError(f"{name}={value} is too small: set it to {least} or more")
    context = context or tf.distribute.InputContext()
    replica_rows = context.get_per_replica_batch_size(batch_size)
    host_rows = batch_size // context.num_input_pipelines
    index = _index(dataset, "train", data_dir)
    source = _source(index, image_size, cache)

    def first_position(turn: tf.Tensor) -> tf.Tensor:
        """Of the host's rows of its batch number `turn`."""
        return (start_batch + turn) * batch_size + context.input_pipeline_id * host_rows

    def numbers(turn: tf.Tensor) -> tf.Tensor:
        positions = first_position(turn) + tf.range(host_rows, dtype=tf.int64)
        return _shuffled(positions % len(index), len(index), seed, positions // len(index))

    def lots(turn: tf.Tensor) -> tf.Tensor:
        return _lots(seed, first_position(turn), host_rows)

    def example(lot: tf.Tensor, fetched: tf.Tensor, text: tf.Tensor | None = None) -> Batch | EncodedBatch:
        image, captions, image_id = source.decode(fetched)
        if random_flip:
            image = tf.cond(lot[0] % 2 == 1, lambda: tf.image.flip_left_right(image), lambda: image)
        number = lot[1] % tf.size(captions, tf.int64)
        batch = Batch(image, captions[number], image_id)
        if stored_text is None or text is None:
            return batch
        return EncodedBatch(*batch, stored_text.decode(text, number, batch.caption, image_id))

    # What is drawn is drawn for many rows at once: small operations for each would take longer than reading.
    turns = tf.data.Dataset.range(tf.int64.max)
    parts = [turns.map(lots).unbatch(), source.fetch(turns.map(numbers))]
    if stored_text is not None:
        parts.append(stored_text.fetch(turns.map(numbers)))
    examples = tf.data.Dataset.zip(tuple(parts)).map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    batches = examples.batch(replica_rows, drop_remainder=True).apply(endless)
    return _finish(batches, ahead=_AHEAD * host_rows // replica_rows)


class CaptionList(NamedTuple):
    """What an evaluation is about: captions, and the images that they were written for."""

    captions: list[str]
    image_ids: list[str]


def evaluation_batches(
    dataset: str,
    split: str,
    data_dir: str | os.PathLike,
    *,
    batch_size: int,
    image_size: int,
    num_captions: int,
    seed: int = 0,
    first: int = 0,
    cache: str = "none",
) -> tf.data.Dataset:
    """A random list of (image, caption) pairs of a split: the same whatever the model and the batch size.

    Up to N = images of the split, every image comes at most once. Beyond, the split is gone through again, each
    time with the next of an image's captions, so that no pair comes twice before all of an image's have come.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      split: 'train' or 'validation'.
      data_dir: folder of all records.
      batch_size: images a batch; the last one may have fewer.
      image_size: pixels a side, resized without crop.
      num_captions: length of the list, at least 1.
      seed: of the list, at least 0.
      first: the place in the list to start from; nothing before it is read.
      cache: as of `training_batches`; worth it if the list is long beside the split, or gone through often.

    Returns:
      A dataset of `Batch`, `num_captions - first` pairs in all.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
      ValueError: an argument is out of its range, the index does not fit the records, or the cache does not fit into
        memory.
    """
    index = _index(dataset, split, data_dir)
    source = _source(index, image_size, cache)
    numbers, lots = _listed(len(index), num_captions, seed)

    def example(fetched: tf.Tensor, lot: tf.Tensor) -> Batch:
        image, captions, image_id = source.decode(fetched)
        return Batch(image, _caption_of(captions, lot), image_id)

    fetched = source.fetch(tf.data.Dataset.from_tensors(numbers[first:]))
    examples = tf.data.Dataset.zip((fetched, tf.data.Dataset.from_tensor_slices(lots[first:])))
    examples = examples.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    cardinality = tf.data.experimental.assert_cardinality(-(-(num_captions - first) // batch_size))
    return _finish(examples.batch(batch_size).apply(cardinality), ahead=_AHEAD)


def evaluation_captions(
    dataset: str, split: str, data_dir: str | os.PathLike, *, num_captions: int, seed: int = 0
) -> CaptionList:
    """The captions of `evaluation_batches` and the ids of their images, without decoding any.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      split: 'train' or 'validation'.
      data_dir: folder of all records.
      num_captions: length of the list, at least 1.
      seed: of the list, at least 0.

    Raises:
      FileNotFoundError, ValueError: see `evaluation_batches`.
    """
    index = _index(dataset, split, data_dir)
    numbers, lots = _listed(len(index), num_captions, seed)

    def pair(serialized: tf.Tensor, lot: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        record = records.parse(serialized)
        return _caption_of(record.captions, lot), record.image_id

    read = index.read(tf.data.Dataset.from_tensors(numbers))
    pairs = tf.data.Dataset.zip((read, tf.data.Dataset.from_tensor_slices(lots)))
    pairs = pairs.map(pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    captions, image_ids = zip(*pairs.as_numpy_iterator())
    return CaptionList(
        [caption.decode("utf-8", "replace") for caption in captions], [key.decode() for key in image_ids]
    )


def _listed(size: int, num_captions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The number of the record and the lot of the caption of each pair of an evaluation's list, [num_captions] each."""
    if num_captions < 1:
        raise ValueError(f"num_captions={num_captions} is too small: set it to 1 or more")
    # Whole passes take every image; the last one takes some, drawn by lot. In the order of the files, as disks like.
    num_passes, rest = divmod(num_captions, size)
    rng = np.random.default_rng([seed, size])
    drawn = np.sort(rng.permutation(size)[:rest])
    numbers = np.concatenate([np.tile(np.arange(size), num_passes), drawn])  # [num_captions]
    lots = rng.integers(2**32, size=size)[numbers] + np.arange(num_captions) // size  # [num_captions]
    return numbers, lots


def _caption_of(captions: tf.Tensor, lot: tf.Tensor) -> tf.Tensor:
    """The caption of an image that a lot falls on: a scalar string."""
    return captions[lot % tf.size(captions, tf.int64)]


def _index(dataset: str, split: str, data_dir: str | os.PathLike) -> RecordIndex:
    info = records.open_dataset(dataset, data_dir).info.splits[split]
    return record_index.load(records.directory(dataset, data_dir), split, info.filepaths, info.shard_lengths)


def _source(index: RecordIndex, image_size: int, cache: str) -> ImageSource:
    if cache not in CACHES:
        raise ValueError(f"cache={cache!r} is unknown: choose one of {', '.join(CACHES)}")
    return CACHES[cache](index, image_size)


def _shuffled(places: tf.Tensor, size: int, seed: int, epochs: tf.Tensor) -> tf.Tensor:
    """The records at places of epochs: in each epoch another permutation of 0 .. size - 1.

    Args:
      places: [rows] int64 in [0, size).
      size: records in an epoch.
      seed: of all permutations.
      epochs: [rows] int64.

    Returns:
      [rows] int64 in [0, size).
    """
    keys = tf.stack([tf.zeros_like(epochs), tf.zeros_like(epochs) + seed, epochs], axis=1)  # [rows, 3]
    # The op behind tf.random.experimental.index_shuffle, which has neither a key for each row nor a choice of rounds.
    last = tf.constant(size - 1, tf.int64)
    return tf.raw_ops.RandomIndexShuffle(index=places, seed=keys, max_index=last, rounds=_CIPHER_ROUNDS)


def _lots(seed: int, first_position: tf.Tensor, rows: int) -> tf.Tensor:
    """Random numbers for consecutive positions, each fixed by (seed, position): [rows, 4] int64 in [0, 2^32)."""
    # Philox turns each value of a counter into four numbers. The op behind tf.random.stateless_uniform counts up from
    # the one given: here, one value a position.
    drawn = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[4 * rows],
        key=tf.constant([seed], tf.uint64),
        counter=tf.stack([tf.cast(first_position, tf.uint64), tf.constant(0, tf.uint64)]),
        alg=tf.random.Algorithm.PHILOX.value,
        dtype=tf.uint32,
    )
    return tf.cast(tf.reshape(drawn, [rows, 4]), tf.int64)


def _finish(batches: tf.data.Dataset, ahead: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # Distributed without a context, batches are made by every host and split by rows, not their files by hosts.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(ahead)
