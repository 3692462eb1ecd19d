"""The mean of every metric over the steps since the last logged line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Window:
    """Steps that have been trained and not yet logged.

    A checkpoint carries the window along, so that a run that was stopped between two lines logs the same numbers.

    Attributes:
      steps: how many there are.
    """

    def __init__(self, note: Mapping[str, Any]):
        """Args:
        note: what `note` gave, or empty: the window of a new run, or of a checkpoint without one.
        """
        self.steps: int = note.get("steps", 0)
        self._sums: dict[str, float] = dict(note.get("sums", {}))

    def add(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Adds steps.

        Args:
          metrics: {name: [steps]}.
        """
        if metrics.keys() != self._sums.keys():  # Also where another version wrote the checkpoint.
            self.clear()
            self._sums = dict.fromkeys(metrics, 0.0)
        for name, values in metrics.items():
            for value in values.tolist():  # One after the other: the same sum wherever the run was stopped.
                self._sums[name] += value
        self.steps += len(next(iter(metrics.values())))

    def means(self) -> dict[str, float]:
        """The mean of each metric; only where there are steps."""
        return {name: total / self.steps for name, total in self._sums.items()}

    def clear(self) -> None:
        """Begins anew, after the steps have been logged."""
        self.steps = 0
        self._sums = {}

    def note(self) -> dict[str, Any]:
        """The window as JSON, which keeps every bit."""
        return {"steps": self.steps, "sums": self._sums}
