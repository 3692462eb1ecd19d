"""Inception Score (Salimans et al. 2016; paper section 5.2)."""

from __future__ import annotations

import numpy as np
from scipy import special

from eval.metrics.checks import check_rows
from eval.score import Estimate

_ROWS_AT_ONCE = 4096  # Rows of float64 probabilities in memory: 33 MB for 1,000 classes.


def inception_score(logits: np.ndarray, splits: int) -> Estimate:
    """Computes exp of the mean KL(p(class | image) || p(class)): high for confident and diverse predictions.

    Args:
      logits: logits of a classifier, `[n, classes]`, in the order of the images.
      splits: number of consecutive parts that are scored separately, usually 10. No image is left out: if the images do
        not divide evenly, the first parts have one more each.

    Returns:
      Mean and standard deviation over the splits, from 1 (all predictions equal) to the number of classes. Fewer images
      give a lower score.

    Raises:
      ValueError: there are fewer images than splits, or a logit is not finite.
    """
    logits = check_rows(logits, "logits")
    if not 1 <= splits <= len(logits):
        raise ValueError(f"{splits} splits of {len(logits)} images: there must be at least 1 image in each")
    scores = [_score(part) for part in np.array_split(logits, splits)]
    return Estimate(float(np.mean(scores)), float(np.std(scores)) if splits > 1 else None)


def _score(logits: np.ndarray) -> float:
    """Scores one split `[n, classes]` as exp(H(class) - mean H(class | image)), which is equivalent."""
    total = np.zeros(logits.shape[1])  # Sum of the images' probabilities.
    negative_entropy = 0.0
    for start in range(0, len(logits), _ROWS_AT_ONCE):
        log_p = special.log_softmax(logits[start : start + _ROWS_AT_ONCE].astype(np.float64), axis=1)
        p = np.exp(log_p)
        total += p.sum(axis=0)
        negative_entropy += np.vdot(p, log_p)
    marginal = total / len(logits)
    # entr(p) = -p log p, and 0 at p = 0.
    return float(np.exp(special.entr(marginal).sum() + negative_entropy / len(logits)))
