"""Streamed mean and covariance, against NumPy's on the whole array."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics import moments


def _features(count: int, dim: int, *, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(dim, dim))
    return (generator.normal(size=(count, dim)) @ mixing + offset).astype(np.float32)


def _streamed(features: np.ndarray, *stops: int) -> moments.Moments:
    streamed = moments.Moments(features.shape[1])
    for batch in np.split(features, stops):
        streamed.update(batch)
    return streamed


def _assert_moments(streamed: moments.Moments, features: np.ndarray, tolerance: float = 1e-12) -> None:
    whole = features.astype(np.float64)
    covariance = np.cov(whole, rowvar=False)
    assert streamed.count == len(features)
    np.testing.assert_allclose(streamed.mean, whole.mean(axis=0), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(streamed.covariance, covariance, rtol=0, atol=tolerance * np.abs(covariance).max())
    assert np.array_equal(streamed.covariance, streamed.covariance.T)
    assert streamed.mean.dtype == streamed.covariance.dtype == np.float64


@pytest.mark.parametrize("stops", [[], [150], [1, 2, 3], [64, 128, 192, 256], [0, 64, 64, 299]])
def test_streaming_equals_the_whole_array(stops):
    features = _features(300, 24)
    _assert_moments(_streamed(features, *stops), features)


def test_fewer_features_than_their_width():
    features = _features(10, 40)
    _assert_moments(_streamed(features, 4, 7), features)


def test_nothing_cancels_far_from_zero():
    features = _features(600, 8, offset=3e4)
    _assert_moments(_streamed(features, *range(50, 600, 50)), features, tolerance=1e-11)
    # The moments from sums of squares are inaccurate here.
    whole = features.astype(np.float64)
    mean = whole.sum(axis=0) / 600
    naive = (whole.T @ whole - 600 * np.outer(mean, mean)) / 599
    assert np.abs(naive - np.cov(whole, rowvar=False)).max() > 1e-8


def test_merging_the_parts_of_several_replicas():
    features = _features(500, 16, offset=5.0)
    merged = moments.Moments(16)
    for part in np.split(features, [0, 120, 121, 380]):  # One part is empty, and another has one image.
        replica = _streamed(part, len(part) // 2)
        before = replica.to_arrays()
        merged.merge(replica)
        assert all(np.array_equal(before[name], array) for name, array in replica.to_arrays().items())
    _assert_moments(merged, features)


def test_stored_and_continued(tmp_path):
    features = _features(90, 12)
    through = _streamed(features, 30, 60)
    np.savez_compressed(tmp_path / "moments.npz", **_streamed(features[:60], 30).to_arrays())
    with np.load(tmp_path / "moments.npz") as arrays:
        resumed = moments.Moments.from_arrays(arrays)
    resumed.update(features[60:])
    assert resumed.count == 90 and resumed.dim == 12
    assert np.array_equal(resumed.mean, through.mean)
    assert np.array_equal(resumed.covariance, through.covariance)


def test_results_are_copies():
    features = _features(20, 3)
    streamed = _streamed(features)
    arrays = streamed.to_arrays()
    restored = moments.Moments.from_arrays(arrays)
    for array in (*arrays.values(), streamed.mean, streamed.covariance):
        array[...] = 0
    _assert_moments(streamed, features)
    _assert_moments(restored, features)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few(count):
    few = _streamed(_features(count, 4))
    with pytest.raises(ValueError, match=f"mean and covariance of {count} images: there must be at least 2"):
        _ = few.covariance
    with pytest.raises(ValueError, match="at least 2"):
        _ = few.mean


def test_damaged_features_change_nothing():
    features = _features(64, 4)
    streamed = _streamed(features)
    damaged = features.copy()
    damaged[3, 1], damaged[5], damaged[9, 0] = np.nan, np.inf, -np.inf
    with pytest.raises(ValueError, match="3 of 64 features are not finite"):
        streamed.update(damaged)
    for wrong in (features[:, :3], features[0], features[np.newaxis]):
        with pytest.raises(ValueError, match=r"they must be \[n, 4\]"):
            streamed.update(wrong)
    with pytest.raises(ValueError, match="features 3 wide cannot be merged with features 4 wide"):
        streamed.merge(moments.Moments(3))
    _assert_moments(streamed, features)


def test_invalid_stored_statistics_are_refused():
    arrays = _streamed(_features(9, 4)).to_arrays()
    with pytest.raises(ValueError, match="no 'scatter' among the stored statistics: remove the file"):
        moments.Moments.from_arrays({name: arrays[name] for name in ("count", "mean")})
    for wrong in ({"mean": np.zeros(3)}, {"scatter": np.zeros((4, 3))}, {"count": np.array(-1)}, {"count": np.ones(4)}):
        with pytest.raises(ValueError, match="do not belong together: remove the file"):
            moments.Moments.from_arrays({**arrays, **wrong})
