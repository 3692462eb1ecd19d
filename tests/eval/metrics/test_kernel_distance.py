"""The kernel distance against a double loop and TensorFlow GAN."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from eval.metrics import kernel_distance


def _features(count: int, dim: int = 6, *, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, dim)) + offset).astype(np.float32)


def _by_double_loop(features_1: np.ndarray, features_2: np.ndarray) -> float:
    features_1, features_2 = features_1.astype(np.float64), features_2.astype(np.float64)

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y)) / len(x) + 1) ** 3

    def within(features):
        pairs = [kernel(x, y) for i, x in enumerate(features) for j, y in enumerate(features) if i != j]
        return sum(pairs) / len(pairs)

    between = [kernel(x, y) for x in features_1 for y in features_2]
    return within(features_1) + within(features_2) - 2 * sum(between) / len(between)


def _whole(features_1: np.ndarray, features_2: np.ndarray) -> float:
    return kernel_distance.kernel_distance(features_1, features_2, num_subsets=3, subset_size=1000, seed=0).mean


def test_against_a_double_loop():
    features_1, features_2 = _features(9), _features(7, offset=0.5, seed=1)
    np.testing.assert_allclose(_whole(features_1, features_2), _by_double_loop(features_1, features_2), rtol=1e-12)


def test_against_tensorflow_gan(tfgan):
    features_1, features_2 = _features(200, 64), _features(150, 64, offset=0.2, seed=1)
    mean, _ = tfgan.eval.kernel_classifier_distance_and_std_from_activations(
        tf.constant(features_1.astype(np.float64)), tf.constant(features_2.astype(np.float64)), max_block_size=1000
    )
    np.testing.assert_allclose(_whole(features_1, features_2), float(mean), rtol=1e-11)


def test_subsets_are_drawn_with_the_seed_and_averaged():
    features_1, features_2 = _features(60), _features(50, offset=0.5, seed=1)
    arguments = {"num_subsets": 200, "subset_size": 20}
    estimate = kernel_distance.kernel_distance(features_1, features_2, **arguments, seed=0)
    assert estimate == kernel_distance.kernel_distance(features_1, features_2, **arguments, seed=0)
    assert estimate != kernel_distance.kernel_distance(features_1, features_2, **arguments, seed=1)
    # The mean over all subsets is the distance of the whole sets.
    whole = _by_double_loop(features_1, features_2)
    assert abs(estimate.mean - whole) < 4 * estimate.deviation / np.sqrt(200)
    assert 0 < estimate.deviation < whole


def test_deviation_is_that_of_the_subsets():
    # Subsets of 2 out of 3 features, compared with the same features each time, have three equally likely distances.
    features_1, features_2 = _features(3), np.repeat(_features(1, seed=1), 2, axis=0)
    distances = [_by_double_loop(features_1[list(pair)], features_2) for pair in ((0, 1), (0, 2), (1, 2))]
    estimate = kernel_distance.kernel_distance(features_1, features_2, num_subsets=6000, subset_size=2, seed=0)
    np.testing.assert_allclose(estimate.mean, np.mean(distances), atol=4 * np.std(distances) / np.sqrt(6000))
    np.testing.assert_allclose(estimate.deviation, np.std(distances), rtol=0.05)


@pytest.mark.parametrize("swap", [False, True])
def test_drawn_without_replacement(swap):
    # One side is used whole. If some of its features were drawn twice, the distances would differ.
    few, alike = _features(20), np.repeat(_features(1, seed=1), 50, axis=0)
    sides = (alike, few) if swap else (few, alike)
    estimate = kernel_distance.kernel_distance(*sides, num_subsets=10, subset_size=20, seed=0)
    np.testing.assert_allclose(estimate.mean, _by_double_loop(few, alike[:20]), rtol=1e-12)
    assert estimate.deviation < 1e-12 * estimate.mean


def test_equal_distributions_fall_on_both_sides_of_zero():
    distances = np.array([_whole(_features(40, seed=seed), _features(40, seed=1000 + seed)) for seed in range(100)])
    assert distances.min() < 0 < distances.max()
    error = distances.std() / np.sqrt(len(distances))
    assert abs(distances.mean()) < 3 * error
    # If the kernel of features with themselves were included, the test would fail.
    excess = np.mean([(np.sum(x**2) / len(x) + 1) ** 3 for x in _features(40)]) - 1
    assert 2 * excess / 40 > 10 * error


def test_subsets_that_take_everything():
    features_1, features_2 = _features(12), _features(15, seed=1)
    estimate = kernel_distance.kernel_distance(features_1, features_2, num_subsets=100, subset_size=15, seed=0)
    assert estimate.deviation == 0
    for size in (5, 15):
        one = kernel_distance.kernel_distance(features_1, features_2, num_subsets=1, subset_size=size, seed=0)
        assert one.deviation is None


def test_invalid_arguments_are_refused():
    def measure(features_1, features_2, num_subsets=2, subset_size=5):
        return kernel_distance.kernel_distance(
            features_1, features_2, num_subsets=num_subsets, subset_size=subset_size, seed=0
        )

    with pytest.raises(ValueError, match=r"from 1 and 9 features: there must be at least 1 subset, of at least 2"):
        measure(_features(1), _features(9))
    with pytest.raises(ValueError, match="2 subsets of 1 from 9 and 9"):
        measure(_features(9), _features(9), subset_size=1)
    with pytest.raises(ValueError, match="0 subsets of 5"):
        measure(_features(9), _features(9), num_subsets=0)
    with pytest.raises(ValueError, match=r"shape \[9, 4\]: they must be \[n, 6\]"):
        measure(_features(9), _features(9, 4))
    with pytest.raises(ValueError, match="1 of 9 features are not finite"):
        measure(_features(9), np.where(np.arange(9)[:, np.newaxis] == 2, np.nan, _features(9)))
