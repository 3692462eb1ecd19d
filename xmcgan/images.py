"""Images as levels of 0 to 255, and as the networks see them."""

from __future__ import annotations

import tensorflow as tf


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """Rounds images in [0, 1] to levels 0 to 255; what lies outside is clipped."""
    return tf.cast(tf.round(tf.clip_by_value(images, 0.0, 1.0) * 255.0), tf.uint8)


def from_uint8(images: tf.Tensor) -> tf.Tensor:
    """Turns levels 0 to 255 into images in [0, 1], float32."""
    return tf.cast(images, tf.float32) / 255.0
