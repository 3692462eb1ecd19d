"""Where the images of an evaluation come from: the dataset or a generator (or a folder: `image_folder`)."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from data_pipelines import input_pipeline
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.synthesis import noise_of, to_uint8


class Source(abc.ABC):
    """A list of images, in a fixed order.

    Attributes:
      identity: everything that decides the images: JSON values by name.
      size: how many there are.
    """

    identity: dict[str, Any]
    size: int

    @abc.abstractmethod
    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        """What `images` needs of the images from number `first` on, in batches; the last one may have fewer."""

    @abc.abstractmethod
    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """A batch's images, made on a replica, in a graph: [batch, height, width, 3] uint8."""


class RealImages(Source):
    """The dataset's own images of an evaluation's list."""

    def __init__(self, dataset: str, split: str, data_dir: str, *, image_size: int, num_captions: int, seed: int):
        """Args: see `input_pipeline.evaluation_batches`."""
        self.identity = {"pictures": "real", "image_size": image_size, "resize": "bilinear without antialias, no crop"}
        self.size = num_captions
        self._dataset, self._split, self._data_dir = dataset, split, data_dir
        self._image_size, self._seed = image_size, seed

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
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
        return batch["image"]


class GeneratedImages(Source):
    """A generator's images of captions, one for each caption and seed."""

    def __init__(
        self,
        generator: Generator,
        text_encoder: TextEncoder,
        noise_dim: int,
        captions: Sequence[str],
        seeds: Sequence[int],
        identity: dict[str, Any],
    ):
        """Args:
        generator: with averaged weights; made inside the scope of the strategy that runs it.
        text_encoder: that it was trained with.
        noise_dim: width of z.
        captions: one for each image.
        seeds: one for each image; a seed names a noise vector, wherever in the list it stands.
        identity: tells which generator this is.
        """
        self.identity = {"pictures": "generated", **identity}
        self.size = len(captions)
        self._generator, self._text_encoder, self._noise_dim = generator, text_encoder, noise_dim
        self._captions, self._seeds = captions, seeds

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        listed = tf.data.Dataset.from_tensor_slices((list(self._captions[first:]), list(self._seeds[first:])))

        def tokenized(captions: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
            # Here, on the host: devices do not take strings.
            return {"seed": tf.cast(seeds, tf.int64), **self._text_encoder.tokenize(captions)}

        return listed.batch(batch_size).map(tokenized).prefetch(tf.data.AUTOTUNE)

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        noise = noise_of(batch["seed"], self._noise_dim)
        return to_uint8(self._generator(noise, self._text_encoder.encode(batch)).image)
