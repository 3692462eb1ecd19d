"""The scores of a result, with their units and spread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Optional

import msgspec

LOWER, HIGHER = "lower", "higher"


class Estimate(NamedTuple):
    """The value of a metric: the mean over several measurements, and their standard deviation."""

    mean: float
    deviation: float | None = None  # The population's (ddof=0), as in publications; None for a single measurement.


class Score(NamedTuple):
    """The value of a metric. The name includes the network that it was measured with, as in 'FID/tfgan'."""

    name: str
    value: float
    deviation: float | None  # Over the metric's splits, subsets or folds; None if it has none.
    better: str  # LOWER or HIGHER
    unit: str = ""  # '%', or empty.

    def __str__(self) -> str:
        deviation = "" if self.deviation is None else f" ± {self.deviation:.4g}"
        return f"{self.value:.4g}{deviation}{' ' + self.unit if self.unit else ''}"


def from_estimate(name: str, estimate: Estimate, better: str) -> Score:
    """Makes a score in the metric's own unit."""
    return Score(name, estimate.mean, estimate.deviation, better)


def percentage(name: str, estimate: Estimate) -> Score:
    """Makes a score in percent from a share in [0, 1]; higher is better."""
    deviation = None if estimate.deviation is None else 100 * estimate.deviation
    return Score(name, 100 * estimate.mean, deviation, HIGHER, "%")


def to_json(scores: Iterable[Score]) -> dict[str, dict[str, Any]]:
    """Returns scores by name, ready for `json.dump`."""
    return {score.name: {key: value for key, value in score._asdict().items() if key != "name"} for score in scores}


class Fields(msgspec.Struct):
    """The JSON values of a score, see `to_json`."""

    value: float
    deviation: Optional[float]
    better: Literal["lower", "higher"]
    unit: str = ""


def from_json(scores: Mapping[str, Fields]) -> list[Score]:
    """Reads scores back from what `to_json` returned, after `text_files` has checked its types."""
    return [Score(name, each.value, each.deviation, each.better, each.unit) for name, each in scores.items()]
