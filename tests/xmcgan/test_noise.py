import numpy as np
import pytest
import tensorflow as tf

from xmcgan.noise import interpolate, seeded_noise


def test_noise_belongs_to_the_seed():
    together = seeded_noise(tf.constant([5, 6, 5, -1, 2**40], tf.int64), 16).numpy()
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_array_equal(together[4], seeded_noise(tf.constant([2**40], tf.int64), 16)[0])
    for a, b in [(0, 1), (0, 3), (1, 4), (3, 4)]:
        assert not np.any(together[a] == together[b])


def test_noise_is_standard_normal():
    z = seeded_noise(tf.range(500, dtype=tf.int64), 40).numpy()
    np.testing.assert_allclose([z.mean(), z.std(), (z**3).mean(), (z**4).mean()], [0, 1, 0, 3], atol=0.15)
    np.testing.assert_allclose(np.corrcoef(z[::2, 0], z[1::2, 0])[0, 1], 0, atol=0.2)  # Nor do neighbors tell.


def test_a_quarter_of_a_circle():
    way = interpolate([2.0, 0.0], [0.0, 2.0], [0.0, 1 / 3, 0.5, 1.0])
    expected = 2 * np.array([[1, 0], [np.sqrt(3) / 2, 0.5], [np.sqrt(0.5), np.sqrt(0.5)], [0, 1]])
    np.testing.assert_allclose(way, expected, atol=1e-6)
    assert way.dtype == np.float32


def test_noise_stays_as_long_as_noise():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=[2, 128])
    lengths = np.linalg.norm(interpolate(first, second, np.linspace(0, 1, 11)), axis=1)
    assert lengths.min() > 0.95 * min(lengths[0], lengths[-1])


@pytest.mark.parametrize("second, middle", [([1.0, 2.0], [1.0, 2.0]), ([-1.0, -2.0], [0.0, 0.0])])
def test_the_same_and_the_opposite_direction(second, middle):
    np.testing.assert_allclose(interpolate([1.0, 2.0], second, [0.0, 0.5, 1.0]), [[1, 2], middle, second], atol=1e-6)
