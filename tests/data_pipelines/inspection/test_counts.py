"""Statistics of histograms, against NumPy's of the values themselves."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from data_pipelines.inspection import counts


def _values(size: int) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 25, size) ** 2


@pytest.mark.parametrize("size", [1, 2, 10, 100, 997])
def test_statistics_are_exact(size):
    values = _values(size)
    histogram = collections.Counter()
    for part in np.array_split(values, 3):
        counts.tally(histogram, part)
    assert counts.total(histogram) == size
    assert counts.mean(histogram) == pytest.approx(values.mean())
    for percent in (0, 1, 10, 50, 90, 99, 100):
        assert counts.percentile(histogram, percent) == np.percentile(values, percent, method="inverted_cdf")
    for limit in (-1, 0, 100, 576):
        assert counts.share_above(histogram, limit) == pytest.approx((values > limit).mean())


def test_percentiles_of_ordered_things():
    sizes = collections.Counter({(10, 10): 3, (2, 30): 4, (90, 1): 1})
    ordered = [counts.percentile(sizes, percent, key=lambda size: size[0] * size[1]) for percent in (0, 50, 60, 100)]
    assert ordered == [(2, 30), (2, 30), (90, 1), (10, 10)]
