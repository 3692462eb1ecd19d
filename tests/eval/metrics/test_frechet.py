"""The Fréchet distance against closed forms, SciPy's matrix square root and TensorFlow GAN.

For features, one more truth is exact at any rank: the trace of the root is the sum of the singular values of
X_1 X_2^T, with X the centerd features over the root of n - 1.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from eval.metrics import frechet, moments


def _features(count: int, dim: int, *, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    """Features like those of a network's last layer: not negative, correlated, with a decaying spectrum."""
    mixing = np.random.default_rng(99).normal(size=(dim, dim)) / np.sqrt(dim)
    generator = np.random.default_rng(seed)
    scales = 3 / np.sqrt(np.arange(1, dim + 1))
    return np.maximum((generator.normal(size=(count, dim)) * scales) @ mixing + offset + 0.2, 0).astype(np.float32)


def _moments(features: np.ndarray) -> moments.Moments:
    streamed = moments.Moments(features.shape[1])
    for start in range(0, len(features), 100):
        streamed.update(features[start : start + 100])
    return streamed


def _ours(features_1: np.ndarray, features_2: np.ndarray) -> float:
    first, second = _moments(features_1), _moments(features_2)
    return frechet.frechet_distance(first.mean, first.covariance, second.mean, second.covariance)


def _by_singular_values(features_1: np.ndarray, features_2: np.ndarray) -> float:
    means = [features.astype(np.float64).mean(axis=0) for features in (features_1, features_2)]
    x_1, x_2 = ((x - m) / np.sqrt(len(x) - 1) for x, m in zip((features_1, features_2), means))
    root_trace = np.linalg.svd(x_1 @ x_2.T, compute_uv=False).sum()
    return np.sum((means[0] - means[1]) ** 2) + np.sum(x_1**2) + np.sum(x_2**2) - 2 * root_trace


def _by_sqrtm(features_1: np.ndarray, features_2: np.ndarray) -> float:
    x_1, x_2 = features_1.astype(np.float64), features_2.astype(np.float64)
    covariances = [np.cov(x, rowvar=False) for x in (x_1, x_2)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    traces = np.trace(covariances[0]) + np.trace(covariances[1])
    return np.sum((x_1.mean(axis=0) - x_2.mean(axis=0)) ** 2) + traces - 2 * np.trace(root).real


def _rotation(dim: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(dim, dim)))[0]


def test_gaussians_with_the_same_axes():
    variances_1, variances_2 = np.array([4.0, 1.0, 0.25, 9.0]), np.array([1.0, 1.0, 4.0, 0.0])
    axes = _rotation(4)
    distance = frechet.frechet_distance(
        np.zeros(4), axes * variances_1 @ axes.T, np.array([1.0, -2.0, 0.0, 2.0]), axes * variances_2 @ axes.T
    )
    # The squared distance of the means, plus that of the standard deviations along each axis.
    np.testing.assert_allclose(distance, (1 + 4 + 4) + (1 + 0 + 2.25 + 9), rtol=1e-13)


def test_gaussians_with_different_axes():
    covariance_1, covariance_2 = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.9], [-0.9, 3.0]])
    # For a 2 x 2 matrix, Tr sqrt(A) = sqrt(Tr A + 2 sqrt(det A)).
    product = covariance_1 @ covariance_2
    root_trace = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    distance = frechet.frechet_distance(np.zeros(2), covariance_1, np.full(2, 0.5), covariance_2)
    np.testing.assert_allclose(distance, 0.5 + 3 + 4 - 2 * root_trace, rtol=1e-13)


def test_without_any_spread():
    covariance = np.diag([1.0, 2.0])
    assert frechet.frechet_distance(np.zeros(2), np.zeros((2, 2)), np.ones(2), covariance) == 5
    assert frechet.frechet_distance(np.zeros(2), covariance, np.ones(2), np.zeros((2, 2))) == 5
    assert frechet.frechet_distance(np.zeros(2), np.zeros((2, 2)), np.zeros(2), np.zeros((2, 2))) == 0


def test_a_spectrum_down_to_rounding():
    axes, variances = _rotation(200), np.logspace(0, -18, 200)
    covariance = axes * variances @ axes.T
    distance = frechet.frechet_distance(np.zeros(200), covariance, np.zeros(200), 1.21 * covariance)
    np.testing.assert_allclose(distance, 0.1**2 * variances.sum(), rtol=1e-8)


@pytest.mark.parametrize(
    ("count_1", "count_2"), [(900, 1200), (120, 90), (100, 1200), (257, 256)], ids=["full", "low", "mixed", "square"]
)
def test_features_against_independent_truths(count_1, count_2):
    features_1, features_2 = _features(count_1, 256), _features(count_2, 256, offset=0.1, seed=1)
    distance = _ours(features_1, features_2)
    np.testing.assert_allclose(distance, _by_singular_values(features_1, features_2), rtol=1e-11)
    np.testing.assert_allclose(distance, _by_sqrtm(features_1, features_2), rtol=1e-6)
    np.testing.assert_allclose(distance, _ours(features_2, features_1), rtol=1e-12)


@pytest.mark.parametrize(
    ("count_1", "count_2", "dim"),
    [
        (900, 1200, 256),
        (120, 90, 256),
        (100, 1200, 256),
        (257, 256, 256),
        pytest.param(500, 700, 2048, marks=pytest.mark.slow),
        pytest.param(6000, 5000, 2048, marks=pytest.mark.slow),
    ],
)
def test_against_tensorflow_gan(tfgan, count_1, count_2, dim):
    features = _features(count_1, dim), _features(count_2, dim, offset=0.1, seed=1)
    activations = [part.astype(np.float64) for part in features]
    expected = float(tfgan.eval.frechet_classifier_distance_from_activations(*activations))
    np.testing.assert_allclose(_ours(*features), expected, rtol=1e-6)


def test_fewer_images_than_features():
    features_1, features_2 = _features(300, 1024), _features(300, 1024, offset=0.1, seed=1)
    distance = _ours(features_1, features_2)
    np.testing.assert_allclose(distance, _by_singular_values(features_1, features_2), rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize(("count_1", "count_2"), [(500, 700), (6000, 5000)], ids=["low", "full"])
def test_2048_features_against_independent_truths(count_1, count_2):
    features_1, features_2 = _features(count_1, 2048), _features(count_2, 2048, offset=0.1, seed=1)
    distance = _ours(features_1, features_2)
    np.testing.assert_allclose(distance, _by_sqrtm(features_1, features_2), rtol=1e-6)


@pytest.mark.parametrize("count", [40, 400])
def test_a_set_and_itself(count):
    distances = []
    for seed in range(8):
        features = _features(count, 64, seed=seed)
        distances.append(_ours(features, features[::-1]))
    assert min(distances) >= 0 and max(distances) < 1e-12
    assert 0 in distances  # Rounding makes some of them negative, which is clipped to 0.


def test_a_small_distance_is_not_lost_in_rounding():
    features = _features(100, 300)
    np.testing.assert_allclose(_ours(features, features + np.float32(2**-12)), 300 * 2.0**-24, rtol=1e-3)


def test_invalid_arguments_are_refused():
    mean, covariance = np.zeros(3), np.eye(3)
    with pytest.raises(ValueError, match=r"a mean of shape \[2\] and a covariance of shape \[3, 3\]"):
        frechet.frechet_distance(np.zeros(2), covariance, mean, covariance)
    with pytest.raises(ValueError, match="features 3 and 2 wide cannot be compared"):
        frechet.frechet_distance(mean, covariance, np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="not finite"):
        frechet.frechet_distance(np.array([0, np.nan, 0]), covariance, mean, covariance)
    with pytest.raises(ValueError, match="1 of 3 rows of the covariance are not finite"):
        frechet.frechet_distance(mean, covariance, mean, np.diag([1, np.inf, 1]))


# --- How it depends on the number of images


def _standard_normal(dim: int) -> moments.Moments:
    """Exact moments, without sampling error."""
    return moments.Moments.from_arrays({"count": 10**9 + 1, "mean": np.zeros(dim), "scatter": 1e9 * np.eye(dim)})


@pytest.mark.parametrize("seed", range(3))
def test_the_bias_shrinks_and_is_extrapolated_away(seed):
    features = 1.1 * np.random.default_rng(seed).normal(size=(3000, 64)) + 0.05
    known = 64 * (0.05**2 + 0.1**2)
    points = frechet.frechet_curve(features, _standard_normal(64), [3000, 600, 1000, 2000, 1500, 1000])
    assert [point.num_images for point in points] == [600, 1000, 1500, 2000, 3000]
    distances = [point.distance for point in points]
    assert distances == sorted(distances, reverse=True) and distances[-1] > 1.4 * known
    np.testing.assert_allclose(frechet.extrapolate(points), known, rtol=0.08)
    whole = _moments(features)
    exact = frechet.frechet_distance(whole.mean, whole.covariance, np.zeros(64), np.eye(64))
    np.testing.assert_allclose(distances[-1], exact, rtol=1e-12)


def test_the_order_of_the_captions_does_not_matter():
    features = np.random.default_rng(0).normal(size=(2000, 4))
    in_order = features[np.argsort(features[:, 0])]  # The first half alone would be at a distance of about 1.
    curve = frechet.frechet_curve(in_order, _standard_normal(4), [1000, 2000])
    assert curve[0].distance < 0.03
    assert curve == frechet.frechet_curve(in_order, _standard_normal(4), [1000, 2000])
    other = frechet.frechet_curve(in_order, _standard_normal(4), [1000, 2000], seed=1)
    assert other[0].distance != curve[0].distance
    np.testing.assert_allclose(other[1].distance, curve[1].distance, rtol=1e-9)


def test_extrapolate_fits_a_line():
    points = [frechet.CurvePoint(count, 7.5 + 300 / count) for count in (10, 40, 200)]
    np.testing.assert_allclose(frechet.extrapolate(points), 7.5, rtol=1e-12)
    with pytest.raises(ValueError, match="at least 2 different numbers of images"):
        frechet.extrapolate(points[:1] * 2)


@pytest.mark.parametrize("counts", [[], [1, 5], [5, 11]])
def test_counts_out_of_range_are_refused(counts):
    with pytest.raises(ValueError, match="there are 10, and at least 2 are needed"):
        frechet.frechet_curve(np.random.default_rng(0).normal(size=(10, 3)), _standard_normal(3), counts)
