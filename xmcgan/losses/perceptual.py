"""The perceptual loss that Table 6 compares the contrastive image loss with."""

from __future__ import annotations

import tensorflow as tf


def perceptual_loss(real_features: tf.Tensor, fake_features: tf.Tensor) -> tf.Tensor:
    """Squared l2 distance between the image-encoder features of real and generated images (section 6.2, Table 6).

    Args:
      real_features: [batch, dim], of the real images.
      fake_features: [batch, dim], of the images generated from the same captions.

    Returns:
      Scalar, at least 0: the mean over the batch.
    """
    squared_distances = tf.reduce_sum(tf.square(real_features - fake_features), axis=1)  # [batch]
    return tf.reduce_mean(squared_distances)
