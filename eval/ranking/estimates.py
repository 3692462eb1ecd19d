"""Rankings -> the numbers of Fig. 3, with what chance makes of them and how far the raters agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eval.ranking.answers import Answer

_CONFIDENCE = 0.95
RESAMPLINGS = 10_000
_CHUNK = 500  # Resamplings at once: 4 MB of weights at 1,000 captions.


class Interval(NamedTuple):
    """An estimate and its 95 % confidence interval; arrays of one shape."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class QuestionResult(NamedTuple):
    """The outcome of one question."""

    question: str
    models: tuple[str, ...]
    num_answers: int
    num_captions: int  # That have an answer at all.
    answers_per_caption: dict[int, int]  # Number of answers -> captions that have so many; 0 included.
    num_raters: int
    shares: Interval  # [models, places]: how often a model came out first, second, ...
    mean_rank: Interval  # [models], 1 is best.
    wins: Interval  # [models, models]: how often the model of the row stood before that of the column; NaN with itself.
    kendalls_w: float  # Mean over the captions with two answers or more.
    alpha: float  # Krippendorff's, ordinal, of the ranks of all images.


def summarize(
    answers: Sequence[Answer], question: str, models: Sequence[str], num_captions: int, *, seed: int = 0
) -> QuestionResult:
    """The outcome of one question.

    Answers to one caption depend on each other through its images: five raters of one page are not five pages. The
    intervals are therefore those of a bootstrap over captions, each resampled with all its answers (percentiles).

    Args:
      answers: of all questions.
      question: the one to sum up.
      models: names, in the order of the results.
      num_captions: of the ranking, answered or not.
      seed: of the bootstrap.

    Raises:
      ValueError: there is no answer to the question.
    """
    chosen = [answer for answer in answers if answer.question == question]
    if not chosen:
        raise ValueError(f"there is no answer that counts to the question of {question}: give its export by --answers")
    models = tuple(models)
    ranks = np.array([[answer.models.index(model) + 1 for model in models] for answer in chosen])  # [answers, models]
    rows, captions = np.unique([answer.row for answer in chosen], return_inverse=True)  # [captions], [answers]
    counts = np.bincount(captions)  # [captions]

    def per_caption(values: np.ndarray) -> np.ndarray:
        """Sums [answers, ...] over the answers of each caption: [captions, ...]."""
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
    """Means over answers, with intervals by resampling captions.

    Args:
      sums: [captions, ...], of some value over the answers of each caption.
      counts: [captions], how many answers.
      seed: of the resampling.

    Returns:
      Arrays [...]: the mean over all answers, and the percentiles of its resamplings.
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
    """Kendall's coefficient of concordance of complete rankings without ties.

    W = 12 S / (m^2 (n^3 - n)), S the squared deviations of the items' sums of ranks from their mean. For m raters who
    rank at random, its mean is 1 / m.

    Args:
      ranks: [raters, items], every row a permutation of 1 ... items; at least two items.

    Returns:
      From 0 (no agreement) to 1 (all rank alike).
    """
    raters, items = ranks.shape
    sums = ranks.sum(axis=0, dtype=np.float64)  # [items]
    return float(12 * np.sum((sums - sums.mean()) ** 2) / (raters**2 * (items**3 - items)))


def krippendorffs_alpha(counts: np.ndarray) -> float:
    """Krippendorff's alpha of values on an ordinal scale.

    alpha = 1 - D_observed / D_expected, from the coincidences o_cv of values within units, with the squared ordinal
    distance d_cv = (n_c / 2 + n_(c+1) + ... + n_(v-1) + n_v / 2)^2 of values c < v, n being the values' totals.

    Args:
      counts: [units, values], how many raters gave a unit a value. Units of fewer than two ratings are passed over.

    Returns:
      1 if all agree, 0 for what chance would give, below if they agree less; NaN where there is nothing to compare.
    """
    ratings = counts.sum(axis=1)  # [units]
    counts, ratings = counts[ratings > 1].astype(np.float64), ratings[ratings > 1].astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :]  # [units, values, values]
    own = counts[:, :, None] * np.eye(counts.shape[1])  # A rating does not make a pair with itself.
    coincidences = np.sum((pairs - own) / (ratings[:, None, None] - 1), axis=0)  # [values, values]
    totals = coincidences.sum(axis=0)  # [values]
    middles = np.cumsum(totals) - totals / 2
    distances = (middles[:, None] - middles[None, :]) ** 2  # [values, values]
    total = totals.sum()
    expected = np.sum(np.outer(totals, totals) * distances)
    if total < 2 or expected == 0:
        return float("nan")
    return float(1 - (total - 1) * np.sum(coincidences * distances) / expected)
