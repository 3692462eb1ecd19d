"""Tests of the degradations of images."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from experiments.checks import degradations


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(256, size=(3, 20, 24, 3), dtype=np.uint8)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_gaussian(sigma, images):
    ours = degradations.blur(sigma)(tf.constant(images)).numpy()
    assert ours.dtype == np.uint8
    radius = int(np.ceil(3 * sigma))
    expected = ndimage.gaussian_filter(
        images.astype(float), (0, sigma, sigma, 0), mode="reflect", truncate=radius / sigma
    )
    assert np.abs(ours - expected).max() <= 0.51  # Rounded.


def test_noise_has_its_deviation():
    grey = tf.fill([2, 64, 64, 3], tf.constant(128, tf.uint8))
    noisy = degradations.noise(10.0)(grey).numpy().astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    assert noisy.std() == pytest.approx(10.0, rel=0.03)
    np.testing.assert_array_equal(noisy, degradations.noise(10.0)(grey).numpy())
    assert degradations.noise(100.0)(grey).numpy().max() == 255
