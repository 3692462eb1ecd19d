"""Turns rankings into the numbers of Fig. 3, with confidence intervals and the agreement of the raters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eval.ranking.answers import Answer

_CONFIDENCE = 0.95
RESAMPLINGS = 10_000
_CHUNK = 500  # Resamplings computed together: 4 MB of weights for 1,000 captions.


class Interval(NamedTuple):
    """Estimates and their 95 % confidence intervals, as arrays of the same shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class QuestionResult(NamedTuple):
    """The outcome of one question."""

    question: str
    models: tuple[str, ...]
    num_answers: int
    num_captions: int  # Captions with at least one answer.
    answers_per_caption: dict[int, int]  # Maps a number of answers, also 0, to the number of captions that have it.
    num_raters: int
    shares: Interval  # [models, places]: how often a model was ranked first, second, ...
    mean_rank: Interval  # [models], 1 is best.
    wins: Interval  # [models, models]: how often the row's model was ranked above the column's; NaN on the diagonal.
    kendalls_w: float  # Mean over the captions with two or more answers.
    alpha: float  # Krippendorff's ordinal alpha, for the ranks of all images.


def summarize(
    answers: Sequence[Answer], question: str, models: Sequence[str], num_captions: int, *, seed: int = 0
) -> QuestionResult:
    """Computes the outcome of one question.

    Answers to the same caption are not independent, because they judge the same images: five raters of one page are not
    five pages. The intervals therefore come from a percentile bootstrap over captions, each resampled together with all
    its answers.

    Args:
      answers: answers to all questions.
      question: name of the question.
      models: names of the models, in the order of the results.
      num_captions: number of captions of the ranking, answered or not.
      seed: seed of the bootstrap.

    Raises:
      ValueError: there is no answer to the question.
    """
    chosen = [answer for answer in answers if answer.question == question]
    if not chosen:
        raise ValueError(f"no answer to the question of {question} counts: pass its export with --answers")
    models = tuple(models)
    ranks = np.array([[answer.models.index(model) + 1 for model in models] for answer in chosen])  # [answers, models]
    rows, captions = np.unique([answer.row for answer in chosen], return_inverse=True)  # [captions], [answers]
    counts = np.bincount(captions)  # [captions]

    def per_caption(values: np.ndarray) -> np.ndarray:
        """Sums values [answers, ...] over the answers to each caption: [captions, ...]."""
        sums = np.zeros((len(rows), *values.shape[1:]))
        np.add.at(sums, captions, values)
        return sums

    places = np.arange(1, len(models) + 1)
    place_counts = per_caption(ranks[:, :, None] == places)  # [captions, models, places]
    win_counts = per_caption(ranks[:, :, None] < ranks[:, None, :])  # [captions, models, models]
    wins = bootstrap(win_counts, counts, seed)
    for array in wins:
        np.fill_diagonal(array, np.nan)
    by_number = {number: int(np.sum(counts == number)) for number in sorted(set(counts.tolist()))}
    unanswered = {0: num_captions - len(rows)} if len(rows) < num_captions else {}
    concordances = [kendalls_w(ranks[captions == caption]) for caption in np.flatnonzero(counts > 1)]
    return QuestionResult(
        question=question,
        models=models,
        num_answers=len(chosen),
        num_captions=len(rows),
        answers_per_caption={**unanswered, **by_number},
        num_raters=len({answer.rater for answer in chosen}),
        shares=bootstrap(place_counts, counts, seed),
        mean_rank=bootstrap(per_caption(ranks), counts, seed),
        wins=wins,
        kendalls_w=float(np.mean(concordances)) if concordances else float("nan"),
        alpha=krippendorffs_alpha(place_counts.reshape(-1, len(models))),
    )


def bootstrap(sums: np.ndarray, counts: np.ndarray, seed: int) -> Interval:
    """Computes means over answers, with confidence intervals from resampled captions.

    Args:
      sums: [captions, ...], sums of some value over the answers to each caption.
      counts: [captions], numbers of answers.
      seed: seed of the resampling.

    Returns:
      Arrays [...]: the mean over all answers, and the percentiles of the resampled means.
    """
    size, shape = len(counts), sums.shape[1:]
    flat = sums.reshape(size, -1).astype(np.float64)  # [captions, values]
    rng = np.random.default_rng(seed)
    even = np.full(size, 1 / size)
    means = []
    for first in range(0, RESAMPLINGS, _CHUNK):
        number = min(_CHUNK, RESAMPLINGS - first)
        weights = rng.multinomial(size, even, size=number).astype(np.float64)  # [resamplings, captions]
        means.append(weights @ flat / (weights @ counts)[:, None])
    tails = [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2]
    low, high = np.quantile(np.concatenate(means), tails, axis=0)
    value = flat.sum(axis=0) / counts.sum()
    return Interval(value.reshape(shape), low.reshape(shape), high.reshape(shape))


def kendalls_w(ranks: np.ndarray) -> float:
    """Computes Kendall's coefficient of concordance for complete rankings without ties.

    W = 12 S / (m^2 (n^3 - n)) for m raters and n items, where S is the sum of the squared deviations of the items' rank
    sums from their mean. If raters rank at random, the mean of W is 1 / m.

    Args:
      ranks: [raters, items], each row a permutation of 1 ... items; at least two items.

    Returns:
      W, from 0 (no agreement) to 1 (all rankings equal).
    """
    raters, items = ranks.shape
    sums = ranks.sum(axis=0, dtype=np.float64)  # [items]
    return float(12 * np.sum((sums - sums.mean()) ** 2) / (raters**2 * (items**3 - items)))


def krippendorffs_alpha(counts: np.ndarray) -> float:
    """Computes Krippendorff's alpha for values on an ordinal scale.

    alpha = 1 - D_observed / D_expected, from the coincidences o_cv of values within units. The squared ordinal distance
    of values c < v is d_cv = (n_c / 2 + n_(c+1) + ... + n_(v-1) + n_v / 2)^2, where n are the totals of the values.

    Args:
      counts: [units, values], how many raters gave each value to a unit. Units with fewer than two ratings are ignored.

    Returns:
      1 for perfect agreement, 0 for agreement as by chance, less for worse agreement; NaN if there is nothing to
      compare.
    """
    ratings = counts.sum(axis=1)  # [units]
    counts, ratings = counts[ratings > 1].astype(np.float64), ratings[ratings > 1].astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :]  # [units, values, values]
    own = counts[:, :, None] * np.eye(counts.shape[1])  # A rating is not paired with itself.
    coincidences = np.sum((pairs - own) / (ratings[:, None, None] - 1), axis=0)  # [values, values]
    totals = coincidences.sum(axis=0)  # [values]
    middles = np.cumsum(totals) - totals / 2
    distances = (middles[:, None] - middles[None, :]) ** 2  # [values, values]
    total = totals.sum()
    expected = np.sum(np.outer(totals, totals) * distances)
    if total < 2 or expected == 0:
        return float("nan")
    return float(1 - (total - 1) * np.sum(coincidences * distances) / expected)
