"""Differentiable augmentation of the images that the discriminator sees (Zhao et al. 2020).

The same changes are made to the real and the generated image of a caption, and gradients pass through them to the
generator. D can no longer memorize the training images, and G does not learn to draw the changes.
"""

from __future__ import annotations

import tensorflow as tf

# How many random numbers decide the changes of one image.
NUM_RANDOM = 4
# The largest translation and the side of the cut-out square, as shares of the image's side. Both are half of the
# published ones: captions mention places, and a larger translation makes 'on the left' look like 'in the middle'.
_LARGEST_TRANSLATION = 1 / 16
_CUT = 1 / 4
# The value where there is no image: the middle of [0, 1].
_EMPTY = 0.5


def augment(images: tf.Tensor, changes: str, numbers: tf.Tensor) -> tf.Tensor:
    """Changes images; differentiable.

    Args:
      images: [batch, size, size, 3] in [0, 1].
      changes: 'translation', 'cutout', or both, separated by a comma.
      numbers: they decide the changes of each image, uniform in [0, 1), [batch, NUM_RANDOM].

    Returns:
      The changed images, [batch, size, size, 3] in [0, 1].
    """
    x = images - _EMPTY
    if "translation" in changes:
        x = _translate(x, numbers[:, :2])
    if "cutout" in changes:
        x = _cut_out(x, numbers[:, 2:])
    return x + _EMPTY


def _translate(x: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Moves each image by whole pixels along both axes, with 0 where the image was."""
    size = x.shape[1]
    largest = round(_LARGEST_TRANSLATION * size)
    shifts = tf.cast(tf.floor(numbers * (2 * largest + 1)), tf.int32) - largest  # [batch, 2]
    # Products with shifted unit matrices, because the gradient of a gather is a slow scatter.
    places = tf.range(size)
    sources = places[tf.newaxis, tf.newaxis, :, tf.newaxis] + shifts[:, :, tf.newaxis, tf.newaxis]
    moves = tf.cast(tf.equal(sources, places), x.dtype)  # [batch, 2, size, size]
    rows = tf.matmul(moves[:, 0], tf.reshape(x, [-1, size, size * 3]))
    return tf.matmul(moves[:, 1, tf.newaxis], tf.reshape(rows, [-1, size, size, 3]))


def _cut_out(x: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Sets a square of each image to 0; its center can be anywhere in the image."""
    size = x.shape[1]
    centers = (tf.range(size, dtype=numbers.dtype) + 0.5) / size
    is_near = tf.abs(centers - numbers[:, :, tf.newaxis]) < _CUT / 2  # [batch, 2, size]
    is_inside = is_near[:, 0, :, tf.newaxis] & is_near[:, 1, tf.newaxis, :]
    return x * tf.cast(~is_inside, x.dtype)[..., tf.newaxis]
