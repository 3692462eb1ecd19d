"""Batches of images with one caption each: a pure function of the seed and the position in the stream."""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines import image_source, record_index, records, stream
from data_pipelines.image_source import ImageSource
from data_pipelines.record_index import RecordIndex
from data_pipelines.text_features import StoredText
from xmcgan.models.text_encoder import TextFeatures

CACHES = {"none": image_source.reread, "memory": image_source.in_memory}
# Number of batches that a host prefetches. It is small, because a batch of 256 images of 256 px takes 50 MB.
_PREFETCHED_BATCHES = 2


class Batch(NamedTuple):
    """Images with one caption each, and the ids of the images."""

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
    """Returns how many images a split has.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      split: 'train' or 'validation'.
      data_dir: folder of all records.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message names the command.
    """
    return records.split_info(dataset, split, data_dir).num_examples


def training_batches(
    dataset: str,
    data_dir: str | os.PathLike,
    *,
    batch_size: int,
    image_size: int,
    geometry: str = "squash",
    random_flip: bool = False,
    seed: int = 0,
    start_batch: int = 0,
    cache: str = "none",
    stored_text: StoredText | None = None,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Returns the endless stream of training batches, from batch number `start_batch` on.

    Element `p` of the stream belongs to epoch `p // N`, where `N` is the number of images in the split. The order of an
    epoch is a permutation of the split drawn from (seed, epoch). Caption and flip are drawn from (seed, p). So a stream
    that starts late continues exactly like one that started at 0, and it starts immediately: nothing before its start
    is read. There is no gap between epochs: a batch may span two, or more if N is small.

    The stream is the same on one host and on many. Each host reads and decodes only its own consecutive examples of
    every batch; host 0 has the first ones. Its replicas receive them in turn, [batch_size / replicas] at a time.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      data_dir: folder of all records, on a disk that allows every host random reads.
      batch_size: images in a global batch, over all replicas of all hosts. All batches are full.
      image_size: pixels per side.
      geometry: how images become square, see `images.square_image`.
      random_flip: whether to mirror each image with probability 1/2.
      seed: seed of order, captions and flips, at least 0.
      start_batch: number of the first batch, at least 0.
      cache: a key of CACHES. 'none' reads and decodes images again in each epoch, 'memory' only once.
      stored_text: stored features of the training captions, to be added to the batches; read again in each epoch.
      context: which host this is, and the number of hosts and replicas, as `distribute_datasets_from_function`
        passes it. The default is one host with one replica.

    Returns:
      An infinite dataset of `Batch`, or of `EncodedBatch` if `stored_text` is given. Each element holds the examples of
      one replica.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message names the command.
      ValueError: an argument is out of its range, the replicas cannot share a batch evenly, the index does not match
        the records, or the cache does not fit into memory.
    """
    for name, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0), ("start_batch", start_batch, 0)):
        if value < least:
            raise ValueError(f"{name}={value} is too small: set it to {least} or more")
    context = context or tf.distribute.InputContext()
    replica_batch_size = context.get_per_replica_batch_size(batch_size)
    host_batch_size = batch_size // context.num_input_pipelines
    index = _index(dataset, "train", data_dir)
    source = _source(index, image_size, geometry, cache)

    def first_position(batch_number: tf.Tensor) -> tf.Tensor:
        """Returns the position of the host's first example in the batch; batches count from `start_batch`."""
        return (start_batch + batch_number) * batch_size + context.input_pipeline_id * host_batch_size

    @tf.autograph.experimental.do_not_convert  # AutoGraph has nothing to convert in these, but takes a second.
    def numbers(batch_number: tf.Tensor) -> tf.Tensor:
        positions = first_position(batch_number) + tf.range(host_batch_size, dtype=tf.int64)
        return stream.record_numbers(positions, len(index), seed)

    @tf.autograph.experimental.do_not_convert
    def random_numbers(batch_number: tf.Tensor) -> tf.Tensor:
        return stream.random_numbers(seed, first_position(batch_number), host_batch_size)

    @tf.autograph.experimental.do_not_convert
    def example(drawn: tf.Tensor, fetched: tf.Tensor, text: tf.Tensor | None = None) -> Batch | EncodedBatch:
        image, captions, image_id = source.decode(fetched)
        if random_flip:
            image = tf.cond(stream.is_flipped(drawn), lambda: tf.image.flip_left_right(image), lambda: image)
        number = stream.caption_number(drawn, tf.size(captions))
        batch = Batch(image, captions[number], image_id)
        if stored_text is None or text is None:
            return batch
        return EncodedBatch(*batch, stored_text.decode(text, number, batch.caption, image_id))

    # Random numbers are drawn for a whole batch together. Small operations for each example would take longer than
    # reading it.
    batch_numbers = tf.data.Dataset.range(tf.int64.max)
    inputs = [batch_numbers.map(random_numbers).unbatch(), source.fetch(batch_numbers.map(numbers))]
    if stored_text is not None:
        inputs.append(stored_text.fetch(batch_numbers.map(numbers)))
    examples = tf.data.Dataset.zip(tuple(inputs)).map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    batches = examples.batch(replica_batch_size, drop_remainder=True).apply(endless)
    return _finish(batches, ahead=_PREFETCHED_BATCHES * host_batch_size // replica_batch_size)


def all_examples(
    dataset: str, split: str, data_dir: str | os.PathLike, image_size: int, geometry: str = "squash"
) -> tf.data.Dataset:
    """Returns each image of a split once, with all its captions, in the order of `stream.record_numbers`.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      split: 'train' or 'validation'.
      data_dir: folder of all records.
      image_size: pixels per side.
      geometry: how images become square, see `images.square_image`.

    Returns:
      A dataset of `image_source.CaptionedImage`.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message names the command.
    """
    return image_source.in_order(_index(dataset, split, data_dir), image_size, geometry)


class CaptionList(NamedTuple):
    """The captions of an evaluation, and the ids of the images that they describe."""

    captions: list[str]
    image_ids: list[str]


def evaluation_batches(
    dataset: str,
    split: str,
    data_dir: str | os.PathLike,
    *,
    batch_size: int,
    image_size: int,
    geometry: str = "squash",
    num_captions: int,
    seed: int = 0,
    first: int = 0,
    cache: str = "none",
) -> tf.data.Dataset:
    """Returns a random list of (image, caption) pairs of a split, which depends on neither model nor batch size.

    If the list has at most N pairs, where N is the number of images in the split, no image occurs twice. A longer
    list repeats the split, each time with the next caption of every image. So no pair repeats before all captions of
    its image have occurred.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      split: 'train' or 'validation'.
      data_dir: folder of all records.
      batch_size: images in a batch; the last batch may have fewer.
      image_size: pixels per side.
      geometry: how images become square, see `images.square_image`.
      num_captions: length of the list, at least 1.
      seed: seed of the list, at least 0.
      first: position in the list to start from; nothing before it is read.
      cache: see `training_batches`. It pays off if the list is long compared with the split, or iterated often.

    Returns:
      A dataset of `Batch` with `num_captions - first` pairs in total.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message names the command.
      ValueError: an argument is out of its range, the index does not match the records, or the cache does not fit into
        memory.
    """
    index = _index(dataset, split, data_dir)
    source = _source(index, image_size, geometry, cache)
    numbers, random_numbers = _listed(len(index), num_captions, seed)

    @tf.autograph.experimental.do_not_convert
    def example(fetched: tf.Tensor, random_number: tf.Tensor) -> Batch:
        image, captions, image_id = source.decode(fetched)
        return Batch(image, _caption_of(captions, random_number), image_id)

    fetched = source.fetch(tf.data.Dataset.from_tensors(numbers[first:]))
    examples = tf.data.Dataset.zip((fetched, tf.data.Dataset.from_tensor_slices(random_numbers[first:])))
    examples = examples.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    cardinality = tf.data.experimental.assert_cardinality(-(-(num_captions - first) // batch_size))
    return _finish(examples.batch(batch_size).apply(cardinality), ahead=_PREFETCHED_BATCHES)


def evaluation_captions(
    dataset: str, split: str, data_dir: str | os.PathLike, *, num_captions: int, seed: int = 0
) -> CaptionList:
    """Returns the captions of `evaluation_batches` and the ids of their images, without decoding the images.

    Args:
      dataset: name of a dataset, such as 'coco2014'.
      split: 'train' or 'validation'.
      data_dir: folder of all records.
      num_captions: length of the list, at least 1.
      seed: seed of the list, at least 0.

    Raises:
      FileNotFoundError, ValueError: see `evaluation_batches`.
    """
    index = _index(dataset, split, data_dir)
    numbers, random_numbers = _listed(len(index), num_captions, seed)

    @tf.autograph.experimental.do_not_convert
    def pair(serialized: tf.Tensor, random_number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        record = records.parse(serialized)
        return _caption_of(record.captions, random_number), record.image_id

    read = index.read(tf.data.Dataset.from_tensors(numbers))
    pairs = tf.data.Dataset.zip((read, tf.data.Dataset.from_tensor_slices(random_numbers)))
    pairs = pairs.map(pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    captions, image_ids = zip(*pairs.as_numpy_iterator())
    return CaptionList(
        [caption.decode("utf-8", "replace") for caption in captions], [key.decode() for key in image_ids]
    )


def _listed(size: int, num_captions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the record number and a random number for the caption of each pair of the list, [num_captions] each."""
    if num_captions < 1:
        raise ValueError(f"num_captions={num_captions} is too small: set it to 1 or more")
    # Full passes take every image; the last pass takes a random sample. It is sorted, so files are read in order.
    num_passes, rest = divmod(num_captions, size)
    rng = np.random.default_rng([seed, size])
    drawn = np.sort(rng.permutation(size)[:rest])
    numbers = np.concatenate([np.tile(np.arange(size), num_passes), drawn])  # [num_captions]
    random_numbers = rng.integers(2**32, size=size)[numbers] + np.arange(num_captions) // size  # [num_captions]
    return numbers, random_numbers


def _caption_of(captions: tf.Tensor, random_number: tf.Tensor) -> tf.Tensor:
    """Returns the caption that a random number selects, a scalar string."""
    return captions[random_number % tf.size(captions, tf.int64)]


def _index(dataset: str, split: str, data_dir: str | os.PathLike) -> RecordIndex:
    info = records.split_info(dataset, split, data_dir)
    return record_index.load(records.directory(dataset, data_dir), split, info.filepaths, info.shard_lengths)


def _source(index: RecordIndex, image_size: int, geometry: str, cache: str) -> ImageSource:
    if cache not in CACHES:
        raise ValueError(f"cache={cache!r} is unknown: choose one of {', '.join(CACHES)}")
    return CACHES[cache](index, image_size, geometry)


def _finish(batches: tf.data.Dataset, ahead: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # If a user distributes the dataset without a context, shard its batches, not its files.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(ahead)
