"""The hinge loss (paper section 3.2)."""

from __future__ import annotations

import tensorflow as tf


def hinge_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """Zero once every real logit is above 1 and every fake one below -1: logits [batch] -> scalar."""
    return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(tf.nn.relu(1.0 + fake_logits))


def hinge_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """Minus the mean of the fake logits: logits [batch] -> scalar."""
    return -tf.reduce_mean(fake_logits)
