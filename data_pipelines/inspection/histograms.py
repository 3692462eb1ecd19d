"""Exact statistics in memory that grows with the number of different values alone."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


class Histogram(collections.Counter[T]):
    """How often each value occurs. Means and shares are of at least one value."""

    def add_values(self, values: np.ndarray) -> None:
        """Adds whole numbers, of any shape."""
        numbers, times = np.unique(values, return_counts=True)
        self.update(dict(zip(numbers.tolist(), times.tolist())))

    @property
    def size(self) -> int:
        """How many values there are."""
        return sum(self.values())

    def mean(self: Histogram[int]) -> float:
        """The mean of numbers."""
        return sum(value * count for value, count in self.items()) / self.size

    def percentile(self, percent: float, key: Callable[[T], Any] | None = None) -> T:
        """The smallest value that at least `percent` % of all do not exceed: always one that occurred.

        Args:
          percent: in [0, 100]; 0 gives the smallest value and 100 the largest one.
          key: what values are ordered by; by default themselves.
        """
        values = sorted(self, key=key or _itself)
        reached = np.cumsum([self[value] for value in values])
        # In whole numbers: 0.9 * 10 and the like are not exact.
        return values[int(np.searchsorted(100 * reached, percent * reached[-1]))]

    def share_above(self: Histogram[int], limit: float) -> float:
        """The share, 0 .. 1, of numbers that exceed `limit`."""
        return sum(count for value, count in self.items() if value > limit) / self.size


def _itself(value: Any) -> Any:
    return value
