"""Images with captions that a dual encoder is trained on, in batches like those of the generator's training."""

from __future__ import annotations

import abc
import os
from typing import Any

import tensorflow as tf

from data_pipelines import input_pipeline, records
from eval.geometry import identify_geometry

MAX_HELD_OUT = 1000


class CaptionPairs(abc.ABC):
    """A training split of images with captions, and held-out pairs.

    Attributes:
      name: name of the dual encoder in results.
      identity: everything that the training depends on, as JSON values.
      num_images: number of training images.
    """

    name: str
    identity: dict[str, Any]
    num_images: int

    @abc.abstractmethod
    def captions(self) -> tf.data.Dataset:
        """Returns all training captions, as scalar strings."""

    @abc.abstractmethod
    def training_batches(self, *, batch_size: int, image_size: int, seed: int, start_batch: int) -> tf.data.Dataset:
        """Returns the endless stream of training batches, starting at batch number `start_batch`.

        The stream is a function of the seed.

        Returns:
          A dataset of `input_pipeline.Batch`; all batches are full.
        """

    @abc.abstractmethod
    def held_out_batches(self, *, batch_size: int, image_size: int) -> tf.data.Dataset:
        """Returns at most MAX_HELD_OUT pairs that are not trained on, as a dataset of `input_pipeline.Batch`."""


class ConvertedPairs(CaptionPairs):
    """The pairs of a converted dataset: its training split, with held-out pairs from its validation split."""

    def __init__(self, dataset: str, data_dir: str | os.PathLike, geometry: str = "squash"):
        """Opens the records.

        Args:
          dataset: name of a dataset, such as 'coco2014'.
          data_dir: folder of all records.
          geometry: how images become square, see `data_pipelines.images.square_image`.

        Raises:
          FileNotFoundError: the dataset has not been converted; the message names the command to do so.
        """
        self.name = dataset
        self.num_images = input_pipeline.num_examples(dataset, "train", data_dir)
        self.identity = {"dataset": dataset, "split": "train", "pictures": self.num_images}
        self.identity.update(identify_geometry(geometry))
        self._dataset, self._data_dir, self._geometry = dataset, data_dir, geometry

    def captions(self) -> tf.data.Dataset:
        """See `CaptionPairs.captions`."""
        files = records.open_dataset(self._dataset, self._data_dir).info.splits["train"].filepaths
        return tf.data.TFRecordDataset(files).map(lambda serialized: records.parse(serialized).captions).unbatch()

    def training_batches(self, *, batch_size: int, image_size: int, seed: int, start_batch: int) -> tf.data.Dataset:
        """See `CaptionPairs.training_batches`."""
        return input_pipeline.training_batches(
            self._dataset,
            self._data_dir,
            batch_size=batch_size,
            image_size=image_size,
            geometry=self._geometry,
            seed=seed,
            start_batch=start_batch,
        )

    def held_out_batches(self, *, batch_size: int, image_size: int) -> tf.data.Dataset:
        """See `CaptionPairs.held_out_batches`."""
        available = input_pipeline.num_examples(self._dataset, "validation", self._data_dir)
        return input_pipeline.evaluation_batches(
            self._dataset,
            "validation",
            self._data_dir,
            batch_size=batch_size,
            image_size=image_size,
            geometry=self._geometry,
            num_captions=min(available, MAX_HELD_OUT),
        )
