"""The claims that the paper makes about its rows in section 6.2 and the appendix, and whether our runs support them."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np

from experiments.ablation.finished_runs import ACCURACY, Difference, Results
from experiments.ablation.paper_rows import METRICS, TABLES
from experiments.ablation.tables import find

_FID = ("FID",)
_LOWER_IS_BETTER = _FID
_SINGLE = ("s", "w", "i_d", "i_vgg")


class Claim(NamedTuple):
    """A claim that some rows are better than others."""

    text: str
    place: str  # Where the paper says so
    pairs: tuple[tuple[str, str], ...]  # Full names of rows: (better, worse)
    metrics: tuple[str, ...] = METRICS  # The metrics to compare by


class Outcome(enum.Enum):
    """The outcome of comparing two rows by one metric."""

    HOLDS = "holds"
    NOISE = "within the noise"
    AGAINST = "the other way round"
    UNDECIDED = "one seed is not enough"
    MISSING = "not run"


class Verdict(NamedTuple):
    """The verdict on a claim."""

    claim: Claim
    outcomes: dict[tuple[str, str, str], Outcome]  # By better row, worse row and metric
    differences: dict[tuple[str, str, str], Difference | None]

    def count(self, outcome: Outcome) -> int:
        """Returns how many comparisons had this outcome."""
        return sum(found is outcome for found in self.outcomes.values())

    @property
    def words(self) -> str:
        """The verdict in a few words."""
        known = [found for found in self.outcomes.values() if found is not Outcome.MISSING]
        if not known:
            return "not run"
        if Outcome.UNDECIDED in known:
            return "undecided: one seed"
        holds, against = self.count(Outcome.HOLDS), self.count(Outcome.AGAINST)
        if holds and against:
            word = "mixed"
        elif holds:
            word = "holds" if holds == len(known) else "holds in part"
        elif against:
            word = "does not hold" if against == len(known) else "in part the other way round"
        else:
            word = "within the noise"
        return word if len(known) == len(self.outcomes) else f"{word} (some rows not run)"


def _pairs(number: int, *pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Returns pairs of rows of one of the paper's tables, with their full names."""
    return tuple((f"table{number}/{better}", f"table{number}/{worse}") for better, worse in pairs)


CLAIMS = (
    Claim(
        "Any contrastive loss beats none, by all metrics",
        "6.2, individual losses",
        _pairs(4, *((name, "none") for name in _SINGLE)),
    ),
    Claim(
        "The sentence and the word loss each help more than an image loss",
        "6.2, individual losses",
        _pairs(4, *((inter, intra) for inter in ("s", "w") for intra in ("i_d", "i_vgg"))),
        _FID,
    ),
    Claim("S alone beats W alone", "Table 4", _pairs(4, ("s", "w"))),
    Claim("S + W beats either alone", "6.2, combined losses", _pairs(4, ("s_w", "s"), ("s_w", "w")), _FID),
    Claim(
        "S + W (between modalities) beats D + VGG (within one)",
        "6.2, combined losses",
        _pairs(4, ("s_w", "i_d_vgg")),
        _FID,
    ),
    Claim(
        "The losses complement each other: S + W + VGG is the best of all by FID",
        "6.2, combined losses",
        _pairs(4, *(("s_w_i_vgg", row.name) for row in TABLES["table4"].rows if row.name != "s_w_i_vgg")),
        _FID,
    ),
    Claim(
        "IS and text alignment improve further with both image losses",
        "6.2, combined losses",
        _pairs(4, ("s_w_i_d_vgg", "s_w_i_vgg"), ("s_w_i_d_vgg", "s_w_i_d")),
        ("IS", "R-precision", "SOA-C", "SOA-I"),
    ),
    Claim(
        "Attentional self-modulation beats plain self-modulation, by all metrics",
        "6.2 and Table 5",
        _pairs(5, ("attentional", "self_modulation")),
    ),
    Claim(
        "A contrastive loss on VGG features beats their l2 distance",
        "6.2 and Table 6",
        _pairs(6, ("vgg_contrastive", "vgg_l2")),
    ),
    Claim(
        "Contrastive losses on G and D beat those on either alone",
        "appendix, Table 7",
        _pairs(7, ("g_d", "g"), ("g_d", "d")),
    ),
    Claim("Contrastive losses on D alone beat those on G alone", "appendix, Table 7", _pairs(7, ("d", "g"))),
    Claim(
        "No contrastive head beats deeper heads",
        "6.2 and Fig. 5",
        (("fig5/head_0", "fig5/head_1"), ("fig5/head_0", "fig5/head_2")),
        _FID,
    ),
    Claim(
        "Deeper heads have the higher contrastive accuracy on generated images",
        "6.2 and Fig. 5",
        (("fig5/head_1", "fig5/head_0"), ("fig5/head_2", "fig5/head_0")),
        (ACCURACY,),
    ),
)


def judge(claim: Claim, results: Results) -> Verdict:
    """Compares a claim with our runs."""
    outcomes, differences = {}, {}
    for better, worse in claim.pairs:
        for metric in claim.metrics:
            difference = results.difference(better, worse, metric)
            differences[better, worse, metric] = difference
            outcomes[better, worse, metric] = _outcome(difference)
    return Verdict(claim, outcomes, differences)


def in_the_paper(claim: Claim) -> tuple[int, int]:
    """Counts a claim's comparisons: those that the paper's numbers support, and those for which it has numbers."""
    judged = [_paper_agrees(better, worse, metric) for better, worse in claim.pairs for metric in claim.metrics]
    return sum(agrees for agrees in judged if agrees is not None), sum(agrees is not None for agrees in judged)


def _outcome(difference: Difference | None) -> Outcome:
    if difference is None:
        return Outcome.MISSING
    if np.isnan(difference.margin):
        return Outcome.UNDECIDED
    if abs(difference.value) <= difference.margin:
        return Outcome.NOISE
    return Outcome.HOLDS if difference.value > 0 else Outcome.AGAINST


def _paper_agrees(better: str, worse: str, metric: str) -> bool | None:
    ours, theirs = (find(name)[1].published.get(metric) for name in (better, worse))
    if ours is None or theirs is None:
        return None
    return ours < theirs if metric in _LOWER_IS_BETTER else ours > theirs
