"""Spread over the noise: how much images of one caption differ, beside how much all images differ."""

from __future__ import annotations

import numpy as np


def within_groups(values: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Computes the pooled variance of vectors around the mean of their own group, summed over the vector's entries.

    It is unbiased, whatever the size of the groups; groups with one vector do not count.

    Args:
      values: [groups, members, dim].
      counts: which members count, [groups, members] bool; None counts all.

    Returns:
      The variance, at least 0; NaN if no group has two members.
    """
    values = np.asarray(values, np.float64)
    weights = np.ones(values.shape[:2]) if counts is None else np.asarray(counts, np.float64)
    sizes = weights.sum(axis=1)  # [groups]
    means = np.einsum("gm,gmd->gd", weights, values) / np.maximum(sizes, 1.0)[:, None]
    squares = weights * np.square(values - means[:, None]).sum(axis=2)  # [groups, members]
    freedom = np.maximum(sizes - 1.0, 0.0).sum()
    return float(squares.sum() / freedom) if freedom else float("nan")


def share_within_groups(values: np.ndarray) -> float:
    """Computes which share of the variance of all vectors remains within the groups.

    Args:
      values: [groups, members, dim], two members or more.

    Returns:
      0 if all members of each group are equal, about 1 if the groups do not matter.
    """
    total = within_groups(values.reshape(1, -1, values.shape[-1]))
    return within_groups(values) / total if total else 0.0
