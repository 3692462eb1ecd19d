"""Conversion of images between uint8, 0 to 255, and the networks' float32 in [0, 1]."""

from __future__ import annotations

import tensorflow as tf


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """Rounds images in [0, 1] to uint8, 0 to 255; values outside of the range are clipped."""
    return tf.cast(tf.round(tf.clip_by_value(images, 0.0, 1.0) * 255.0), tf.uint8)


def from_uint8(images: tf.Tensor) -> tf.Tensor:
    """Converts uint8 images, 0 to 255, to float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255.0
