"""Kernel distance between two sets of features; with Inception features it is KID (Bińkowski et al. 2018).

Unlike the Fréchet distance it is unbiased, so values from different numbers of images, even small ones, are comparable.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.checks import check_rows
from eval.score import Estimate


def kernel_distance(
    features_1: np.ndarray, features_2: np.ndarray, *, num_subsets: int, subset_size: int, seed: int
) -> Estimate:
    """Estimates the squared maximum mean discrepancy under the kernel (x · y / dim + 1)^3, over random subsets.

    Args:
      features_1: first set of features, `[n_1, dim]`.
      features_2: second set of features, `[n_2, dim]`.
      num_subsets: number of pairs of subsets to draw.
      subset_size: features in a subset, drawn without replacement; a set with fewer features is used whole.
      seed: seed of the subsets.

    Returns:
      Mean and standard deviation over the subsets. The estimate is unbiased, so for equal distributions it falls on
      both sides of 0. If the subsets are as large as both sets, all are the same: the deviation is then 0, and does not
      reflect the spread.

    Raises:
      ValueError: the widths differ, a set or subset has fewer than 2 features, or a number is not finite.
    """
    features_1 = check_rows(features_1, "features")
    features_2 = check_rows(features_2, "features", features_1.shape[1])
    sizes = [min(subset_size, len(features)) for features in (features_1, features_2)]
    if min(sizes) < 2 or num_subsets < 1:
        raise ValueError(
            f"{num_subsets} subsets of {subset_size} from {len(features_1)} and {len(features_2)} features: there must "
            "be at least 1 subset, of at least 2"
        )
    if sizes == [len(features_1), len(features_2)]:
        return Estimate(unbiased_mmd(features_1, features_2), None if num_subsets == 1 else 0.0)
    generator = np.random.default_rng(seed)
    distances = []
    for _ in range(num_subsets):
        chosen_1 = generator.choice(len(features_1), sizes[0], replace=False)
        chosen_2 = generator.choice(len(features_2), sizes[1], replace=False)
        distances.append(unbiased_mmd(features_1[chosen_1], features_2[chosen_2]))
    return Estimate(float(np.mean(distances)), None if num_subsets == 1 else float(np.std(distances)))


def unbiased_mmd(features_1: np.ndarray, features_2: np.ndarray) -> float:
    """Computes the squared maximum mean discrepancy of two sets under the cubic kernel (U-statistic).

    Args:
      features_1: `[n_1, dim]`, n_1 at least 2.
      features_2: `[n_2, dim]`, n_2 at least 2.

    Returns:
      The mean kernel value over pairs of different features within the first set, plus that within the second, minus
      twice the mean over pairs across the sets; may be negative.
    """
    features_1, features_2 = np.asarray(features_1, np.float64), np.asarray(features_2, np.float64)
    within_1, within_2 = _mean_of_different(features_1), _mean_of_different(features_2)
    return within_1 + within_2 - 2 * float(_kernel(features_1, features_2).mean())


def _mean_of_different(features: np.ndarray) -> float:
    """Returns the mean kernel value over all pairs of different rows of `[n, dim]`."""
    count = len(features)
    kernel = _kernel(features, features)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _kernel(features_1: np.ndarray, features_2: np.ndarray) -> np.ndarray:
    """Returns (x · y / dim + 1)^3 for all pairs, `[n_1, n_2]`."""
    return (features_1 @ features_2.T / features_1.shape[1] + 1) ** 3
