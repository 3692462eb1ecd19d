"""Degraded images, for testing whether the metrics respond."""

from __future__ import annotations

import math
from typing import Callable

import tensorflow as tf

from eval.sources import Source

Degradation = Callable[[tf.Tensor], tf.Tensor]  # [batch, height, width, 3] uint8 -> the same.


def blur(sigma: float) -> Degradation:
    """Returns a Gaussian blur.

    Args:
      sigma: the standard deviation, in pixels.
    """
    radius = math.ceil(3 * sigma)
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    line = tf.exp(-0.5 * (offsets / sigma) ** 2)
    line /= tf.reduce_sum(line)

    def blurred(images: tf.Tensor) -> tf.Tensor:
        padding = [[0, 0], [radius, radius], [radius, radius], [0, 0]]
        pixels = tf.pad(tf.cast(images, tf.float32), padding, mode="SYMMETRIC")
        for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
            kernel = tf.tile(tf.reshape(line, shape), [1, 1, 3, 1])
            pixels = tf.nn.depthwise_conv2d(pixels, kernel, strides=[1, 1, 1, 1], padding="VALID")
        return _to_uint8(pixels)

    return blurred


def noise(deviation: float) -> Degradation:
    """Returns a degradation that adds Gaussian noise to every pixel. The seed depends on the images.

    Args:
      deviation: the standard deviation, in levels of 255.
    """

    def noisy(images: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(images, tf.float32)
        drawn = tf.random.stateless_normal(tf.shape(pixels), [tf.reduce_sum(tf.cast(images, tf.int32)), 0])
        return _to_uint8(pixels + deviation * drawn)

    return noisy


class Degraded(Source):
    """The images of another source, degraded."""

    def __init__(self, source: Source, degrade: Degradation, name: str):
        """Initializes it.

        Args:
          source: the source of the images.
          degrade: the degradation.
          name: the name of the degradation, for this source's identity.
        """
        self.identity, self.size = {**source.identity, "degraded": name}, source.size
        self._source, self._degrade = source, degrade

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        """See the base class."""
        return self._source.batches(first, batch_size)

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See the base class."""
        return self._degrade(self._source.images(batch))


def _to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(pixels, 0.0, 255.0)), tf.uint8)
