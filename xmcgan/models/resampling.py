"""Nearest-neighbour up-sampling and average pooling by whole factors."""

from __future__ import annotations

import tensorflow as tf


def upsample(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Repeats every pixel `factor` times along both axes.

    Written as broadcast and reshape because XLA has no CPU kernel for the gradient of the nearest resize.

    Args:
      x: [batch, height, width, channels], static shape but for the batch.
      factor: 1 or more.

    Returns:
      [batch, factor * height, factor * width, channels].
    """
    if factor == 1:
        return x
    _, height, width, channels = x.shape
    batch = tf.shape(x)[0]
    x = tf.broadcast_to(x[:, :, None, :, None, :], [batch, height, factor, width, factor, channels])
    return tf.reshape(x, [batch, height * factor, width * factor, channels])


def downsample(x: tf.Tensor) -> tf.Tensor:
    """The mean of every 2 x 2 pixels: [batch, height, width, channels] -> [batch, height / 2, width / 2, channels]."""
    return tf.nn.avg_pool2d(x, 2, 2, "VALID")
