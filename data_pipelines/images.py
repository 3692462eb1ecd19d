"""Image files -> pixels: the one way in which an image becomes what networks and metrics see.

The training batches, the images of a user's folder, those of the dual encoder and those that people look at all come
through here. The Fréchet distance sees differences of one gray level in the decoder and of a fraction of a pixel in the
resampling, so a number may only be compared with one that was measured on images made in the same way.
"""

from __future__ import annotations

import tensorflow as tf


def decode_image(content: tf.Tensor) -> tf.Tensor:
    """Decodes the content of an image file.

    JPEG is decoded with the exact inverse transform of libjpeg ("INTEGER_ACCURATE"). TensorFlow's default is a faster
    one, which is off by up to 4 levels. Gray and palette images become RGB, transparency is dropped, 16 bits become 8.
    An orientation tag (EXIF) is ignored: pixels come as they are stored.

    Args:
      content: scalar string, a whole JPEG, PNG, BMP or GIF file. Of an animation the first frame is taken.

    Returns:
      [height, width, 3] uint8, levels 0 to 255.
    """
    return tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(content, channels=3, expand_animations=False),  # It cannot be told the transform.
    )


def resize_image(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes an image to a square, without crop: sides of different lengths are scaled differently.

    Bilinear between the four nearest pixels, whose centers lie at half-integers, so that nothing is shifted. There is
    no low-pass filter before it (`antialias`), which would halve the images per second. Levels are rounded to the
    nearest, halves to the even one.

    Args:
      image: [height, width, 3] or [batch, height, width, 3], levels 0 to 255 of any type.
      size: pixels a side.

    Returns:
      [size, size, 3] or [batch, size, size, 3] uint8: a quarter of the memory of float32, and of the way to the device.
    """
    resized = tf.image.resize(image, (size, size), method="bilinear")  # float32 in [0, 255]
    return tf.cast(tf.round(resized), tf.uint8)
