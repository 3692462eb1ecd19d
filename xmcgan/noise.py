"""Noise vectors: drawn from seeds, and interpolated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf


def seeded_noise(seeds: tf.Tensor, dim: int) -> tf.Tensor:
    """Draws the noise vector of each seed; it depends on the seed alone, not on the batch or the position in it.

    Args:
      seeds: [batch] int64.
      dim: width of z.

    Returns:
      z ~ N(0, I), [batch, dim].
    """

    def draw(seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_normal([dim], tf.stack([seed, tf.zeros_like(seed)]))

    return tf.map_fn(draw, tf.cast(seeds, tf.int64), fn_output_signature=tf.TensorSpec([dim], tf.float32))


def interpolate(first: npt.ArrayLike, second: npt.ArrayLike, shares: npt.ArrayLike) -> np.ndarray:
    """Interpolates spherically between noise vectors, so that the vectors in between are as long as noise is.

    (The mean of two draws from N(0, I) is shorter by a factor of sqrt(2); to a generator it is not noise any more.)

    Args:
      first: [dim], where the share is 0.
      second: [dim], where the share is 1.
      shares: [steps] in [0, 1].

    Returns:
      [steps, dim] float32.
    """
    start, end, share = np.asarray(first, float), np.asarray(second, float), np.asarray(shares, float)[:, np.newaxis]
    cosine = start @ end / (np.linalg.norm(start) * np.linalg.norm(end))
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    if np.sin(angle) < 1e-6:  # The same direction, or the opposite one, where no path is shorter than the others.
        mixed = (1.0 - share) * start + share * end
    else:
        mixed = (np.sin((1.0 - share) * angle) * start + np.sin(share * angle) * end) / np.sin(angle)
    return mixed.astype(np.float32)
