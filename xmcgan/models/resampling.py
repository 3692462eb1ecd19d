"""Changes of resolution by integer factors, alone or merged with the 3 x 3 convolution next to them.

A 3 x 3 convolution of an up-sampled map sees each small pixel four times. A 3 x 3 convolution that is averaged over
2 x 2 pixels is the sum of four shifted copies of it. Both equal one 4 x 4 convolution of stride 2 (a transposed one for
up-sampling), with 2.25 times fewer multiplications and no large map in between. The trainable kernel stays 3 x 3.
"""

from __future__ import annotations

from typing import Callable

import numpy as np
import tensorflow as tf

# Takes a map and an integer factor.
Upsampling = Callable[[tf.Tensor, int], tf.Tensor]

# On smaller maps, widening the kernel costs more than it saves.
_MERGE_UPSAMPLING_FROM = 16
_MERGE_DOWNSAMPLING_FROM = 32


def upsample(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Repeats every pixel `factor` times along both axes.

    Args:
      x: [batch, height, width, channels]; all but the batch is static.
      factor: 1 or more.

    Returns:
      [batch, factor * height, factor * width, channels].
    """
    if factor == 1:
        return x

    # XLA has no CPU kernel for the gradient of the nearest resize, and pooling is five times faster than the gradient
    # of a broadcast.
    @tf.custom_gradient
    def repeat(x: tf.Tensor):
        _, height, width, channels = x.shape
        pixels = tf.reshape(x, [-1, height, 1, width, 1, channels])
        y = tf.broadcast_to(pixels, [_batch_size(x), height, factor, width, factor, channels])

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return factor**2 * tf.nn.avg_pool2d(upstream, factor, factor, "VALID")

        return tf.reshape(y, [-1, height * factor, width * factor, channels]), gradient

    return repeat(x)


def upsample_bilinearly(x: tf.Tensor, factor: int = 2) -> tf.Tensor:
    """Interpolates linearly along both axes, between the centers of pixels; edges are repeated outward.

    It is computed as two matrix products, because the bilinear resize of TensorFlow and its gradient run on one core,
    and XLA has neither of them for CPU.

    Args:
      x: [batch, height, width, channels]; all but the batch is static.
      factor: 1 or more.

    Returns:
      [batch, factor * height, factor * width, channels].
    """
    if factor == 1:
        return x
    _, height, width, channels = x.shape
    rows = tf.matmul(_interpolation(height, factor, x.dtype), tf.reshape(x, [-1, height, width * channels]))
    columns = tf.matmul(_interpolation(width, factor, x.dtype), tf.reshape(rows, [-1, width, channels]))
    return tf.reshape(columns, [-1, factor * height, factor * width, channels])


# By the names that the config gives them.
UPSAMPLING: dict[str, Upsampling] = {"nearest": upsample, "bilinear": upsample_bilinearly}


def downsample(x: tf.Tensor) -> tf.Tensor:
    """Averages every 2 x 2 pixels: [batch, height, width, channels] -> [batch, height / 2, width / 2, channels]."""
    return tf.nn.avg_pool2d(x, 2, 2, "VALID")


def upsample_and_convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Computes `conv2d(upsample(x), kernel)` with 'same' padding.

    Args:
      x: [batch, height, width, channels].
      kernel: [3, 3, channels, filters].

    Returns:
      [batch, 2 * height, 2 * width, filters].
    """
    _, height, width, _ = x.shape
    if height < _MERGE_UPSAMPLING_FROM:
        return tf.nn.conv2d(upsample(x), kernel, 1, "SAME")
    # The transposed convolution scatters what the convolution gathers, so its kernel is mirrored.
    scattering = tf.transpose(_widen(kernel)[::-1, ::-1], [0, 1, 3, 2])  # [4, 4, filters, channels]
    output_shape = [_batch_size(x), 2 * height, 2 * width, kernel.shape[-1]]
    return tf.nn.conv2d_transpose(x, scattering, output_shape, 2, "SAME")


def convolve_and_downsample(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Computes `downsample(conv2d(x, kernel))` with 'same' padding.

    Args:
      x: [batch, height, width, channels].
      kernel: [3, 3, channels, filters].

    Returns:
      [batch, height / 2, width / 2, filters].
    """
    if x.shape[1] < _MERGE_DOWNSAMPLING_FROM:
        return downsample(tf.nn.conv2d(x, kernel, 1, "SAME"))
    return tf.nn.conv2d(x, _widen(kernel) / 4.0, 2, "SAME")


def _interpolation(size: int, factor: int, dtype: tf.DType) -> tf.Tensor:
    """Returns the weights of `size` pixels in each of the pixels between them, [factor * size, size]."""
    places = np.clip((np.arange(factor * size) + 0.5) / factor - 0.5, 0, size - 1)
    return tf.cast(np.maximum(0.0, 1.0 - np.abs(places[:, np.newaxis] - np.arange(size))), dtype)


def _batch_size(x: tf.Tensor) -> int | tf.Tensor:
    """Returns the batch size, as an integer if it is static."""
    return tf.shape(x)[0] if x.shape[0] is None else x.shape[0]


def _widen(kernel: tf.Tensor) -> tf.Tensor:
    """Sums the four copies of a kernel shifted by 0 or 1 along both axes: [3, 3, ...] -> [4, 4, ...]."""
    padded = tf.pad(kernel, [[1, 1], [1, 1], [0, 0], [0, 0]])
    return padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]
