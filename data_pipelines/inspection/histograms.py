"""Exact statistics whose memory grows only with the number of distinct values."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


class Histogram(collections.Counter[T]):
    """Counts how often each value occurs. Means and shares need at least one value."""

    def add_values(self, values: np.ndarray) -> None:
        """Adds an array of integers of any shape."""
        numbers, times = np.unique(values, return_counts=True)
        self.update(dict(zip(numbers.tolist(), times.tolist())))

    @property
    def size(self) -> int:
        """Number of values."""
        return sum(self.values())

    def mean(self: Histogram[int]) -> float:
        """Returns the mean of the values, which must be numbers."""
        return sum(value * count for value, count in self.items()) / self.size

    def percentile(self, percent: float, key: Callable[[T], Any] | None = None) -> T:
        """Returns the smallest occurring value such that at least `percent` % of all values do not exceed it.

        Args:
          percent: in [0, 100]; 0 returns the smallest value and 100 the largest one.
          key: sort key of the values; by default the values themselves.
        """
        values = sorted(self, key=key or _itself)
        reached = np.cumsum([self[value] for value in values])
        # Computed with integers, because products such as 0.9 * 10 are not exact.
        return values[int(np.searchsorted(100 * reached, percent * reached[-1]))]

    def share_above(self: Histogram[int], limit: float) -> float:
        """Returns the share, 0 .. 1, of values that exceed `limit`."""
        return sum(count for value, count in self.items() if value > limit) / self.size


def _itself(value: Any) -> Any:
    return value
