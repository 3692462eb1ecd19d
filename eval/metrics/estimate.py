"""A score with its spread."""

from __future__ import annotations

import typing


class Estimate(typing.NamedTuple):
    """A score that was measured several times over.

    Attributes:
      mean: the score: the mean over the measurements.
      deviation: their standard deviation (the population's, as published scores have it); None where there was one
        measurement only, whose spread is unknown.
    """

    mean: float
    deviation: float | None = None
