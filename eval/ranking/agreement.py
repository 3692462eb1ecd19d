"""How far raters agree."""

from __future__ import annotations

import numpy as np


def kendalls_w(ranks: np.ndarray) -> float:
    """Kendall's coefficient of concordance of complete rankings without ties.

    W = 12 S / (m^2 (n^3 - n)), S the squared deviations of the items' sums of ranks from their mean. For m raters who
    rank by lot, its mean is 1 / m.

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
