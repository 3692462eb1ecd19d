"""Records -> decoded images with all their captions, by number: read each time again, or held in memory."""

from __future__ import annotations

import math
import pathlib
from typing import Callable, NamedTuple

import psutil
import tensorflow as tf
import tqdm

from data_pipelines import records
from data_pipelines.images import decode_image, resize_image
from data_pipelines.record_index import RecordIndex

# Images between two turns of the progress bar.
_CHUNK = 64
# The cache may take this much of the free memory: the run needs some as well.
_LARGEST_SHARE = 0.9
# Where Linux tells what a container may use and does use (control groups, version 2).
_CONTAINER = pathlib.Path("/sys/fs/cgroup")


class CaptionedImage(NamedTuple):
    """A record, decoded."""

    image: tf.Tensor  # [size, size, 3] uint8
    captions: tf.Tensor  # [captions] string, UTF-8
    image_id: tf.Tensor  # Scalar string


class ImageSource(NamedTuple):
    """The two stages of a pipeline from the numbers of records to images."""

    # Dataset of int64 [rows], the numbers -> dataset of what there is of each image, one by one.
    fetch: Callable[[tf.data.Dataset], tf.data.Dataset]
    # An element of that -> the `CaptionedImage`, within a `map`.
    decode: Callable[[tf.Tensor], CaptionedImage]


def reread(index: RecordIndex, image_size: int) -> ImageSource:
    """Images that are read and decoded whenever they are asked for.

    Memory does not grow with the split; files that fit into memory are kept there by the operating system anyway.

    Args:
      index: of the split.
      image_size: pixels a side.
    """
    return ImageSource(index.read, lambda serialized: _decode(serialized, image_size))


def in_memory(index: RecordIndex, image_size: int) -> ImageSource:
    """Images that are read and decoded once, now, and held at their final size: size * size * 3 bytes each.

    Each host of a cluster holds the whole split: its rows of the batches come from anywhere in it.

    Args:
      index: of the split.
      image_size: pixels a side.

    Returns:
      A source that gives, bit for bit, the images of `reread`.

    Raises:
      ValueError: the images do not fit into the free memory; gives both sizes.
    """
    shape = [len(index), image_size, image_size, 3]
    check_memory(shape, free_memory())
    decoded = tf.data.TFRecordDataset(index.files).map(
        lambda serialized: _decode(serialized, image_size), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    captions, image_ids = [], []
    bar = tqdm.tqdm(total=len(index), desc="decoding into memory", unit="image", disable=None, dynamic_ncols=True)
    with tf.device("CPU:0"), bar:
        # A variable: of a tensor that a function captures, tf.data makes a second copy when it optimizes the graph.
        # For its sake enable_op_determinism takes the parallelism from the map, which has little work here.
        images = tf.Variable(tf.zeros(shape, tf.uint8), trainable=False)
        done = 0
        for chunk in decoded.ragged_batch(_CHUNK).prefetch(1):
            rows = tf.range(done, done + chunk.image.shape[0])
            images.scatter_update(tf.IndexedSlices(chunk.image, rows))
            captions.append(chunk.captions)
            image_ids.append(chunk.image_id)
            done += len(rows)
            bar.update(len(rows))  # A bar that is not shown does not count.
        captions, image_ids = tf.concat(captions, axis=0), tf.concat(image_ids, axis=0)
    return ImageSource(
        fetch=lambda numbers: numbers.unbatch(),
        decode=lambda number: CaptionedImage(images.sparse_read(number), captions[number], image_ids[number]),
    )


def check_memory(shape: list[int], free: int) -> None:
    """Refuses to hold images that do not fit into memory.

    Args:
      shape: [images, size, size, 3] uint8.
      free: bytes.

    Raises:
      ValueError: gives both sizes, and what to do.
    """
    if math.prod(shape) > _LARGEST_SHARE * free:
        raise ValueError(
            f"config.data.cache='memory' needs {math.prod(shape) / 1e9:,.1f} GB for {shape[0]:,} images of "
            f"{shape[1]} px, more than {_LARGEST_SHARE:.0%} of the {free / 1e9:,.1f} GB that are free: "
            "set --config.data.cache=none"
        )


def free_memory() -> int:
    """Bytes that this process can still get: from the machine, and within the limit of its container."""
    free = psutil.virtual_memory().available
    try:
        limit = int((_CONTAINER / "memory.max").read_text())
        used = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text().splitlines())
        return min(free, limit - int(used["anon"]))  # Cached files are given back when needed.
    except (OSError, ValueError, KeyError):
        return free  # No container, or one without a limit ('max').


def _decode(serialized: tf.Tensor, size: int) -> CaptionedImage:
    record = records.parse(serialized)
    image = resize_image(decode_image(record.image), size)
    return CaptionedImage(image, record.captions, record.image_id)
