"""Statistics of histograms: exact, in memory that grows with the number of different values alone.

A histogram is a `collections.Counter` of values.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def tally(counts: collections.Counter[int], values: np.ndarray) -> None:
    """Adds whole numbers, of any shape, to a histogram."""
    numbers, times = np.unique(values, return_counts=True)
    counts.update(dict(zip(numbers.tolist(), times.tolist())))


def total(counts: Mapping[Any, int]) -> int:
    """How many values there are."""
    return sum(counts.values())


def mean(counts: Mapping[int, int]) -> float:
    """The mean of at least one value."""
    return sum(value * count for value, count in counts.items()) / total(counts)


def percentile(counts: Mapping[T, int], percent: float, key: Callable[[T], Any] | None = None) -> T:
    """The smallest value that at least `percent` % of all values do not exceed: always one that occurred.

    Args:
      counts: a histogram of at least one value.
      percent: in [0, 100]; 0 gives the smallest value and 100 the largest one.
      key: what values are ordered by; by default themselves.
    """
    values = sorted(counts, key=key)
    reached = np.cumsum([counts[value] for value in values])
    # In whole numbers: 0.9 * 10 and the like are not exact.
    return values[int(np.searchsorted(100 * reached, percent * reached[-1]))]


def share_above(counts: Mapping[int, int], limit: int) -> float:
    """The share, 0 .. 1, of at least one value that exceeds `limit`."""
    return sum(count for value, count in counts.items() if value > limit) / total(counts)
