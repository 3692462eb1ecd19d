"""Decodes and resizes images, in the same way for all networks and metrics.

Training batches, images in a user's folder, the dual encoder's images and the inspection all use these functions. The
Fréchet distance is sensitive to a difference of one gray level in decoding or of a fraction of a pixel in resampling.
So distances are comparable only if their images were decoded and resized in the same way.
"""

from __future__ import annotations

import tensorflow as tf


def decode_image(content: tf.Tensor) -> tf.Tensor:
    """Decodes the content of an image file.

    JPEG is decoded with libjpeg's exact inverse transform ("INTEGER_ACCURATE"). TensorFlow's default is a faster
    transform, which is off by up to 4 levels. Gray and palette images become RGB, transparency is dropped, and
    16 bits are reduced to 8. EXIF orientation tags are ignored: pixels keep their stored order.

    Args:
      content: scalar string, a whole JPEG, PNG, BMP or GIF file. Only the first frame of an animation is decoded.

    Returns:
      [height, width, 3] uint8, levels 0 to 255.
    """
    return tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(content, channels=3, expand_animations=False),  # It has no `dct_method`.
    )


def resize_image(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes an image to a square without cropping; the aspect ratio is not kept.

    Interpolates bilinearly between the four nearest pixels, whose centers are at half-integers, so nothing is shifted.
    No low-pass filter (`antialias`) is applied, because it would halve the number of images per second. Levels are
    rounded to the nearest integer, halves to even.

    Args:
      image: [height, width, 3] or [batch, height, width, 3], levels 0 to 255, of any numeric type.
      size: pixels per side.

    Returns:
      [size, size, 3] or [batch, size, size, 3] uint8, which takes a quarter of the memory and transfer of float32.
    """
    resized = tf.image.resize(image, (size, size), method="bilinear")  # float32 in [0, 255]
    return tf.cast(tf.round(resized), tf.uint8)
