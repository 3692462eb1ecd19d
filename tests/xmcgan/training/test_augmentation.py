import numpy as np
import pytest
import tensorflow as tf

from xmcgan.training.augmentation import NUM_RANDOM, augment

BATCH, SIZE = 8, 32


def _images():
    return np.random.default_rng(0).uniform(size=[BATCH, SIZE, SIZE, 3]).astype(np.float32)


def _numbers():
    return np.random.default_rng(1).uniform(size=[BATCH, NUM_RANDOM]).astype(np.float32)


def test_a_translation_shows_another_part_of_the_padded_image():
    images, numbers = _images(), _numbers()
    changed = augment(tf.constant(images), "translation", tf.constant(numbers)).numpy()
    for image, (down, right, *_), result in zip(images, numbers, changed):
        padded = np.pad(image, [(2, 2), (2, 2), (0, 0)], constant_values=0.5)  # 2 is a sixteenth of 32.
        top, left = int(5 * down), int(5 * right)
        np.testing.assert_allclose(result, padded[top : top + SIZE, left : left + SIZE], atol=1e-6)


def test_a_cut_out_square_is_gray_and_the_rest_is_unchanged():
    images = _images()
    changed = augment(tf.constant(images), "cutout", tf.constant(_numbers())).numpy()
    gray = np.all(changed == 0.5, axis=-1)
    assert np.all(gray.sum(axis=(1, 2)) <= 8 * 8)
    assert np.all(gray.any(axis=(1, 2)))
    np.testing.assert_allclose(changed[~gray], images[~gray], atol=1e-6)


@pytest.mark.parametrize("changes", ["translation", "translation,cutout"])
def test_gradients_pass_through_the_changes(changes):
    images, numbers = tf.constant(_images(), tf.float64), tf.constant(_numbers())
    upstream, direction = (tf.constant(np.random.default_rng(i).normal(size=images.shape)) for i in (2, 3))
    with tf.GradientTape() as tape:
        tape.watch(images)
        y = tf.reduce_sum(augment(images, changes, numbers) * upstream)
    gradient = tape.gradient(y, images)
    # The changes are affine, so a finite difference is exact.
    difference = augment(images + direction, changes, numbers) - augment(images, changes, numbers)
    np.testing.assert_allclose(tf.reduce_sum(gradient * direction), tf.reduce_sum(difference * upstream), rtol=1e-9)
