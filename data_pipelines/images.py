"""Decodes images of records, and resizes images, in the same way for all networks and metrics.

Records hold plain JPEG and PNG files, see `image_files.encoded_for_records`; `image_files` reads files of users. The
Fréchet distance is sensitive to a difference of one gray level in decoding or of a fraction of a pixel in resampling.
So distances are comparable only if their images were decoded and resized in the same way.
"""

from __future__ import annotations

import tensorflow as tf


def decode_image(content: tf.Tensor) -> tf.Tensor:
    """Decodes the image of a record, in a graph.

    JPEG is decoded with libjpeg's exact inverse transform ("INTEGER_ACCURATE"). TensorFlow's default is a faster
    transform, which is off by up to 4 levels. Gray and palette images become RGB. The pixels keep their stored order,
    because the conversion has turned images upright.

    Args:
      content: scalar string, a whole JPEG or PNG file.

    Returns:
      [height, width, 3] uint8, levels 0 to 255.
    """
    return tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(content, channels=3, expand_animations=False),  # It has no `dct_method`.
    )


def stored_size(content: tf.Tensor) -> tf.Tensor:
    """Reads the size of a record's image from its header, in a graph.

    Args:
      content: scalar string, a whole JPEG or PNG file.

    Returns:
      [2] int32: height and width.
    """
    return tf.cond(
        tf.io.is_jpeg(content),
        lambda: tf.io.extract_jpeg_shape(content)[:2],
        # A PNG file states width and height right after its signature and the head of its first chunk.
        lambda: tf.io.decode_raw(tf.strings.substr(content, 16, 8), tf.int32, little_endian=False)[::-1],
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


def square_image(image: tf.Tensor, size: int, geometry: str = "squash") -> tf.Tensor:
    """Makes an image square and resizes it, see `cropped_image` and `resize_image`.

    Args:
      image: [height, width, 3], levels 0 to 255, of any numeric type.
      size: pixels per side.
      geometry: 'squash' resizes width and height each; 'crop' first cuts out the central square.

    Returns:
      [size, size, 3] uint8.
    """
    return resize_image(cropped_image(image, geometry), size)


def cropped_image(image: tf.Tensor, geometry: str) -> tf.Tensor:
    """Returns the part of an image that becomes square: all of it for 'squash', the central square for 'crop'.

    Args:
      image: [height, width, 3].
      geometry: see `square_image`.

    Returns:
      [height, width, 3], or [side, side, 3] with the shorter of both.
    """
    if geometry == "squash":
        return image
    if geometry != "crop":
        raise ValueError(f"geometry={geometry!r} is unknown: choose squash or crop")
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]
