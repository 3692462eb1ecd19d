"""Where images come from: a dataset, a trained model, or a folder of files. Metrics and rankings take any of them."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines import input_pipeline
from data_pipelines.images import decode_image, resize_image
from xmcgan.text_to_image import TextToImage

# How images of the dataset and of folders are brought to one size. It is part of what decides the metrics.
_RESIZE = "bilinear without antialias, no crop"


class Source(abc.ABC):
    """A list of images, in a fixed order.

    Attributes:
      identity: everything that decides the images: JSON values by name.
      size: how many there are.
    """

    identity: dict[str, Any]
    size: int

    @abc.abstractmethod
    def batches(self, first: int, batch_size: int) -> Iterable[dict[str, tf.Tensor]]:
        """Gives what `images` needs of the images from number `first` on, in batches; the last one may have fewer."""

    @abc.abstractmethod
    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """Makes the images of a batch, on a replica and in a graph: [batch, height, width, 3] uint8."""


class DatasetImages(Source):
    """The images that the captions of a list were written for."""

    def __init__(self, dataset: str, split: str, data_dir: str, *, image_size: int, num_captions: int, seed: int):
        """Names the list.

        Args:
          dataset: name of the dataset.
          split: of the dataset.
          data_dir: folder of all records.
          image_size: pixels a side.
          num_captions: length of the list, see `input_pipeline.evaluation_batches`.
          seed: of the list.
        """
        self.identity = {"pictures": "real", "image_size": image_size, "resize": _RESIZE}
        self.size = num_captions
        self._dataset, self._split, self._data_dir = dataset, split, data_dir
        self._image_size, self._seed = image_size, seed

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        """See `Source.batches`."""
        batches = input_pipeline.evaluation_batches(
            self._dataset,
            self._split,
            self._data_dir,
            batch_size=batch_size,
            image_size=self._image_size,
            num_captions=self.size,
            seed=self._seed,
            first=first,
        )
        return batches.map(lambda batch: {"image": batch.image})

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See `Source.images`."""
        return batch["image"]


class GeneratedImages(Source):
    """What a model draws of captions, one image for each caption and seed."""

    def __init__(self, model: TextToImage, captions: Sequence[str], seeds: Sequence[int] | np.ndarray):
        """Names the images.

        Args:
          model: of a run or of an export; made inside the scope of the strategy that runs it.
          captions: one for each image.
          seeds: one for each image; a seed names a noise vector, wherever in the list it stands.
        """
        self.identity = {"pictures": "generated", **model.identity}
        self.size = len(captions)
        self._model, self._captions, self._seeds = model, captions, seeds

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        """See `Source.batches`."""
        listed = tf.data.Dataset.from_tensor_slices((list(self._captions[first:]), list(self._seeds[first:])))
        return listed.batch(batch_size).map(self._model.prepare).prefetch(tf.data.AUTOTUNE)

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See `Source.images`."""
        return self._model.draw(batch)


class FolderImages(Source):
    """Anyone's images, in files (see `image_folder.read`).

    They are decoded as the dataset's images are, see `data_pipelines.images.decode_image`.
    """

    def __init__(self, files: Sequence[str], *, image_size: int | None = None, identity: dict[str, Any] | None = None):
        """Names the files.

        Args:
          files: PNG, JPEG, BMP or GIF, in the order of their captions.
          image_size: pixels a side; files of another size are resized to it as the dataset's images are. None: all
            keep their sizes, and come one by one.
          identity: tells which images these are.
        """
        self.identity = {"pictures": "files", "image_size": image_size, "resize": _RESIZE, **(identity or {})}
        self.size = len(files)
        self._files, self._image_size = files, image_size

    def batches(self, first: int, batch_size: int) -> Iterator[dict[str, tf.Tensor]]:
        """See `Source.batches`."""
        files = tf.data.Dataset.from_tensor_slices(list(self._files[first:]))
        images = files.map(self._read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        done = first
        try:
            for batch in images.batch(batch_size if self._image_size else 1).prefetch(tf.data.AUTOTUNE):
                yield {"image": batch}
                done += len(batch)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{self._first_damaged(done)} is damaged: write it again, or leave it out") from error

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See `Source.images`."""
        return batch["image"]

    def _read(self, file: tf.Tensor) -> tf.Tensor:
        image = decode_image(tf.io.read_file(file))  # [height, width, 3] uint8
        return resize_image(image, self._image_size) if self._image_size else image

    def _first_damaged(self, first: int) -> str:
        """The first file from number `first` on that cannot be decoded."""
        for file in self._files[first:]:
            try:
                decode_image(tf.io.read_file(file))
            except tf.errors.InvalidArgumentError:
                return file
        return "an image"
