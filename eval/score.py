"""The numbers of a result, with what must be known to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

LOWER, HIGHER = "lower", "higher"


class Estimate(NamedTuple):
    """What a metric gives: the mean of several measurements, and their spread."""

    mean: float
    deviation: float | None = None  # The population's, as publications have it; None of one measurement.


class Score(NamedTuple):
    """A metric's value, named after the network that it was measured by, such as 'FID/tfgan'."""

    name: str
    value: float
    deviation: float | None  # Over the metric's splits, subsets or folds; None where it has none.
    better: str  # LOWER or HIGHER
    unit: str = ""  # '%', or nothing.

    def __str__(self) -> str:
        deviation = "" if self.deviation is None else f" ± {self.deviation:.4g}"
        return f"{self.value:.4g}{deviation}{' ' + self.unit if self.unit else ''}"


def from_estimate(name: str, estimate: Estimate, better: str) -> Score:
    """A score in the metric's own unit."""
    return Score(name, estimate.mean, estimate.deviation, better)


def percentage(name: str, estimate: Estimate) -> Score:
    """A share in [0, 1] as a percentage, of which more is better."""
    deviation = None if estimate.deviation is None else 100 * estimate.deviation
    return Score(name, 100 * estimate.mean, deviation, HIGHER, "%")


def to_json(scores: Iterable[Score]) -> dict[str, dict[str, Any]]:
    """Scores by name, ready for `json.dump`."""
    return {score.name: {key: value for key, value in score._asdict().items() if key != "name"} for score in scores}


def from_json(scores: Mapping[str, Mapping[str, Any]]) -> list[Score]:
    """Reads what `to_json` made."""
    return [Score(name, **fields) for name, fields in scores.items()]
