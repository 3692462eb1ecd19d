"""Histograms, against NumPy's of the values themselves."""

from __future__ import annotations

import numpy as np
import pytest

from data_pipelines.inspection.histograms import Histogram


def _values(size: int) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 25, size) ** 2


@pytest.mark.parametrize("size", [1, 2, 10, 100, 997])
def test_statistics_are_exact(size):
    values = _values(size)
    histogram: Histogram[int] = Histogram()
    for part in np.array_split(values, 3):
        histogram.add_values(part)
    assert histogram.size == size
    assert histogram.mean() == pytest.approx(values.mean())
    for percent in (0, 1, 10, 50, 90, 99, 100):
        assert histogram.percentile(percent) == np.percentile(values, percent, method="inverted_cdf")
    for limit in (-1, 0, 100, 576):
        assert histogram.share_above(limit) == pytest.approx((values > limit).mean())


def test_percentiles_of_ordered_things():
    sizes = Histogram({(10, 10): 3, (2, 30): 4, (90, 1): 1})
    ordered = [sizes.percentile(percent, key=lambda size: size[0] * size[1]) for percent in (0, 50, 60, 100)]
    assert ordered == [(2, 30), (2, 30), (90, 1), (10, 10)]
