"""Where images come from: a dataset, a trained model, or a folder of files. Metrics and rankings take any of them."""

from __future__ import annotations

import abc
import concurrent.futures
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from data_pipelines import image_files, input_pipeline, records
from data_pipelines.builders import skipped
from data_pipelines.images import cropped_image, square_image
from data_pipelines.in_order import map_in_order
from xmcgan.text_to_image import TextToImage

# How images of the dataset and of folders are resized. The metrics depend on it, so it is part of the identity.
_RESIZE = {
    "squash": "bilinear without antialias, no crop",
    "crop": "bilinear without antialias, of the central square",
}
# How many batches of images from files are read ahead.
_BATCHES_AHEAD = 3


class Source(abc.ABC):
    """A list of images, in a fixed order.

    Attributes:
      identity: everything that the images depend on, as JSON values by name.
      size: the number of images.
    """

    identity: dict[str, Any]
    size: int

    @abc.abstractmethod
    def batches(self, first: int, batch_size: int) -> Iterable[dict[str, tf.Tensor]]:
        """Yields batches of inputs for `images`, starting at image number `first`; the last batch may be smaller."""

    @abc.abstractmethod
    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """Turns a batch into images [batch, height, width, 3] uint8; runs on a replica, in a graph."""


class DatasetImages(Source):
    """The real images of a list of captions."""

    def __init__(
        self,
        dataset: str,
        split: str,
        data_dir: str,
        *,
        image_size: int,
        num_captions: int,
        seed: int,
        geometry: str = "squash",
    ):
        """Stores what determines the list.

        Args:
          dataset: name of the dataset.
          split: name of the split.
          data_dir: folder of all records.
          image_size: side length of the images, in pixels.
          num_captions: length of the list, see `input_pipeline.evaluation_batches`.
          seed: seed that the list is drawn with.
          geometry: how images become square, see `data_pipelines.images.square_image`.
        """
        kinds = skipped.read_kinds(records.directory(dataset, data_dir), [split])
        is_changed = any((kind.action, kind.what) == (skipped.MENDED, "image") for kind in kinds)
        rules = {"rules": image_files.RULES} if is_changed else {}
        self.identity = {"pictures": "real", "image_size": image_size, "resize": _RESIZE[geometry], **rules}
        self.size = num_captions
        self._dataset, self._split, self._data_dir = dataset, split, data_dir
        self._image_size, self._seed, self._geometry = image_size, seed, geometry

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        """See `Source.batches`."""
        batches = input_pipeline.evaluation_batches(
            self._dataset,
            self._split,
            self._data_dir,
            batch_size=batch_size,
            image_size=self._image_size,
            geometry=self._geometry,
            num_captions=self.size,
            seed=self._seed,
            first=first,
        )
        return batches.map(lambda batch: {"image": batch.image})

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See `Source.images`."""
        return batch["image"]


class GeneratedImages(Source):
    """The images that a model generates, one for each caption and seed."""

    def __init__(self, model: TextToImage, captions: Sequence[str], seeds: Sequence[int] | np.ndarray):
        """Stores the model, captions and seeds.

        Args:
          model: the model of a run or an export, made inside the scope of the strategy that runs it.
          captions: the caption of each image.
          seeds: the seed of each image's noise vector, which does not depend on the position in the list.
        """
        self.identity = {"pictures": "generated", **model.identity}
        self.size = len(captions)
        self._model, self._captions, self._seeds = model, captions, seeds

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        """See `Source.batches`."""
        listed = tf.data.Dataset.from_tensor_slices((list(self._captions[first:]), list(self._seeds[first:])))
        prepare = tf.autograph.experimental.do_not_convert(self._model.prepare)
        return listed.batch(batch_size).map(prepare).prefetch(tf.data.AUTOTUNE)

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See `Source.images`."""
        return self._model.draw(batch)


class FolderImages(Source):
    """Images from files, see `image_files.read`."""

    def __init__(
        self,
        files: Sequence[str],
        *,
        image_size: int | None = None,
        geometry: str = "squash",
        identity: dict[str, Any] | None = None,
    ):
        """Stores the files and their identity.

        Args:
          files: image files, in the order of their captions.
          image_size: side length in pixels, to which images are resized like the dataset's. With None, images are not
            resized, and each is a batch of its own.
          geometry: see `DatasetImages`.
          identity: identifies the images, as JSON values.
        """
        self.identity = {"pictures": "files", "image_size": image_size, "resize": _RESIZE[geometry], **(identity or {})}
        self.size = len(files)
        self._files, self._image_size, self._geometry = files, image_size, geometry

    def batches(self, first: int, batch_size: int) -> Iterator[dict[str, tf.Tensor]]:
        """See `Source.batches`.

        Raises:
          ValueError: an image cannot be used; the message names it.
        """
        size = batch_size if self._image_size else 1
        pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        try:
            images = map_in_order(pool, self._read, self._files[first:], ahead=_BATCHES_AHEAD * size)
            while batch := list(itertools.islice(images, size)):
                yield {"image": _on_cpu(tf.stack, batch)}  # [batch, height, width, 3] uint8
        finally:
            pool.shutdown(cancel_futures=True)

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See `Source.images`."""
        return batch["image"]

    def _read(self, file: str) -> tf.Tensor:
        image = image_files.read(file).rgb  # [height, width, 3] uint8
        if not self._image_size:
            return _on_cpu(cropped_image, tf.constant(image), self._geometry)
        return _on_cpu(square_image, image, self._image_size, self._geometry)


def _on_cpu(function: Callable[..., tf.Tensor], *arguments: Any) -> tf.Tensor:
    """Calls a function on the CPU, where images of the dataset are resized too."""
    with tf.device("CPU:0"):
        return function(*arguments)
