"""Random access to decoded images and their captions: read again each time, or cached in memory."""

from __future__ import annotations

import math
import pathlib
from typing import Callable, NamedTuple

import psutil
import tensorflow as tf
import tqdm

from data_pipelines import records
from data_pipelines.images import decode_image, square_image
from data_pipelines.record_index import RecordIndex

# Number of images between two updates of the progress bar.
_CHUNK = 64
# The cache may take this share of the free memory. The run needs the rest.
_LARGEST_SHARE = 0.9
# Folder in which Linux states how much memory a container may use and how much it uses (control groups, version 2).
_CONTAINER = pathlib.Path("/sys/fs/cgroup")


class CaptionedImage(NamedTuple):
    """A record with its image decoded."""

    image: tf.Tensor  # [size, size, 3] uint8
    captions: tf.Tensor  # [captions] string, UTF-8
    image_id: tf.Tensor  # Scalar string


class ImageSource(NamedTuple):
    """The two stages of a pipeline from record numbers to images."""

    # Maps a dataset of record numbers, int64 [numbers], to a dataset of fetched records, one by one.
    fetch: Callable[[tf.data.Dataset], tf.data.Dataset]
    # Maps a fetched record to its `CaptionedImage`; called within `Dataset.map`.
    decode: Callable[[tf.Tensor], CaptionedImage]


def reread(index: RecordIndex, image_size: int, geometry: str = "squash") -> ImageSource:
    """Returns a source that reads and decodes an image each time it is requested.

    Memory does not grow with the split. If the files fit into memory, the operating system keeps them there anyway.

    Args:
      index: index of the split.
      image_size: pixels per side.
      geometry: see `square_image`.
    """
    return ImageSource(index.read, lambda serialized: _decode(serialized, image_size, geometry))


def in_memory(index: RecordIndex, image_size: int, geometry: str = "squash") -> ImageSource:
    """Reads and decodes all images now and caches them at their final size, size * size * 3 bytes each.

    Each host of a cluster caches the whole split, because a host's examples come from anywhere in the split.

    Args:
      index: index of the split.
      image_size: pixels per side.
      geometry: see `square_image`.

    Returns:
      A source of the same images as `reread`, bit for bit.

    Raises:
      ValueError: the images do not fit into the free memory; the message states both sizes.
    """
    shape = [len(index), image_size, image_size, 3]
    check_memory(shape, free_memory())
    captions, image_ids = [], []
    bar = tqdm.tqdm(total=len(index), desc="decoding into memory", unit="image", disable=None, dynamic_ncols=True)
    with tf.device("CPU:0"), bar:
        # This is a variable, because tf.data copies a captured tensor when it optimizes the graph. The drawback is
        # that reading a variable makes the map sequential under enable_op_determinism. The map has little work here.
        images = tf.Variable(tf.zeros(shape, tf.uint8), trainable=False)
        done = 0
        for chunk in in_order(index, image_size, geometry).ragged_batch(_CHUNK).prefetch(1):
            numbers = tf.range(done, done + chunk.image.shape[0])
            images.scatter_update(tf.IndexedSlices(chunk.image, numbers))
            captions.append(chunk.captions)
            image_ids.append(chunk.image_id)
            done += len(numbers)
            bar.update(len(numbers))  # `bar.n` cannot replace `done`: a disabled bar does not count.
        captions, image_ids = tf.concat(captions, axis=0), tf.concat(image_ids, axis=0)
    return ImageSource(
        fetch=lambda numbers: numbers.unbatch(),
        decode=lambda number: CaptionedImage(images.sparse_read(number), captions[number], image_ids[number]),
    )


def in_order(index: RecordIndex, image_size: int, geometry: str = "squash") -> tf.data.Dataset:
    """Returns a dataset of all records as `CaptionedImage`, in the order of their numbers.

    Args:
      index: index of the split.
      image_size: pixels per side.
      geometry: see `square_image`.
    """

    @tf.autograph.experimental.do_not_convert
    def decode(serialized: tf.Tensor) -> CaptionedImage:
        return _decode(serialized, image_size, geometry)

    return tf.data.TFRecordDataset(index.files).map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def check_memory(shape: list[int], free: int) -> None:
    """Raises an error if the images do not fit into memory.

    Args:
      shape: [images, size, size, 3] of uint8.
      free: free memory in bytes.

    Raises:
      ValueError: they do not fit; the message states both sizes and what to do.
    """
    if math.prod(shape) > _LARGEST_SHARE * free:
        raise ValueError(
            f"config.data.cache='memory' needs {math.prod(shape) / 1e9:,.1f} GB for {shape[0]:,} images of "
            f"{shape[1]} px, more than {_LARGEST_SHARE:.0%} of the {free / 1e9:,.1f} GB that are free: "
            "set --config.data.cache=none"
        )


def free_memory() -> int:
    """Returns how many bytes this process can still allocate, on the machine and within its container's limit."""
    free = psutil.virtual_memory().available
    try:
        limit = int((_CONTAINER / "memory.max").read_text())
        used = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text().splitlines())
        return min(free, limit - int(used["anon"]))  # Only anonymous memory counts: cached files can be evicted.
    except (OSError, ValueError, KeyError):
        return free  # No container, or one without a limit ('max').


def _decode(serialized: tf.Tensor, size: int, geometry: str) -> CaptionedImage:
    record = records.parse(serialized)
    image = square_image(decode_image(record.image), size, geometry)
    return CaptionedImage(image, record.captions, record.image_id)
