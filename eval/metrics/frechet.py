"""Fréchet distance between two sets of features: FID, where they are Inception's (paper section 5.2).

d^2 = |m_1 - m_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), with means m and covariances S. The last trace is taken as the
sum of the singular values of R_1^T R_2, with square roots S = R R^T by `eigh`. It equals the usual trace of
(S_1^(1/2) S_2 S_1^(1/2))^(1/2), but no root is taken of that product's eigenvalues, which would raise their rounding
errors from 1e-16 to 1e-8 in each direction that the features do not fill.
"""

from __future__ import annotations

import typing

import numpy as np

from eval.metrics.checks import check_rows
from eval.metrics.moments import Moments


def frechet_distance(
    mean_1: np.ndarray, covariance_1: np.ndarray, mean_2: np.ndarray, covariance_2: np.ndarray
) -> float:
    """Squared Fréchet distance between two Gaussians, the number that is reported as FID.

    Covariances may be rank-deficient, as those of fewer images than features are.

    Args:
      mean_1: `[dim]`.
      covariance_1: `[dim, dim]`, symmetric; only its lower triangle is read.
      mean_2: `[dim]`.
      covariance_2: `[dim, dim]`.

    Returns:
      The distance, 0 or greater.

    Raises:
      ValueError: the shapes do not fit together, or a number is not finite.
    """
    return _distance(_factorize(mean_1, covariance_1), _factorize(mean_2, covariance_2))


class _Gaussian(typing.NamedTuple):
    """A Gaussian as the distance needs it."""

    mean: np.ndarray  # [dim]
    trace: float  # Of the covariance.
    root: np.ndarray  # [dim, rank]; root @ root.T is the covariance.


def _factorize(mean: np.ndarray, covariance: np.ndarray) -> _Gaussian:
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(f"a mean of shape {list(mean.shape)} and a covariance of shape {list(covariance.shape)}")
    check_rows(mean[np.newaxis], "means")
    check_rows(covariance, "rows of the covariance")
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)  # [dim], ascending; [dim, dim]
    # What is left of 0 after rounding, above it or below. As roots these would count, 1e-8 for 1e-16.
    noise = len(mean) * np.finfo(np.float64).eps * eigenvalues[-1]
    real = eigenvalues > max(noise, 0.0)
    return _Gaussian(mean, float(np.trace(covariance)), eigenvectors[:, real] * np.sqrt(eigenvalues[real]))


def _distance(first: _Gaussian, second: _Gaussian) -> float:
    if len(first.mean) != len(second.mean):
        raise ValueError(f"features {len(first.mean)} and {len(second.mean)} wide cannot be compared")
    cross_trace = np.linalg.svd(first.root.T @ second.root, compute_uv=False).sum()  # Of [rank_1, rank_2].
    shift = first.mean - second.mean
    # Of equals, rounding may leave less than nothing.
    return max(float(shift @ shift + first.trace + second.trace - 2 * cross_trace), 0.0)


class CurvePoint(typing.NamedTuple):
    """The distance of the first `num_images` features."""

    num_images: int
    distance: float


def frechet_curve(
    features: np.ndarray, reference: Moments, counts: typing.Sequence[int], *, seed: int = 0
) -> list[CurvePoint]:
    """How the distance depends on the number of images: it is biased upwards, by about 1 / count.

    The features are put in a random order first, since captions that are neighbors in a list may be alike; each
    point then has all features of the point before, and some more.

    Args:
      features: `[n, dim]`.
      reference: of the real images; all points are measured from it.
      counts: numbers of features, from 2 to n, in any order.
      seed: of the random order.

    Returns:
      A point for each different count, ascending.

    Raises:
      ValueError: a count is not possible, or the features are not.
    """
    features = check_rows(features, "features", reference.dim)
    counts = sorted(set(counts))
    if not counts or counts[0] < 2 or counts[-1] > len(features):
        raise ValueError(f"distances of {counts} images: there are {len(features)}, and 2 are needed at least")
    order = np.random.default_rng(seed).permutation(len(features))
    real = _factorize(reference.mean, reference.covariance)
    moments = Moments(reference.dim)
    points = []
    for start, stop in zip([0, *counts], counts):
        moments.update(features[order[start:stop]])
        points.append(CurvePoint(stop, _distance(_factorize(moments.mean, moments.covariance), real)))
    return points


def extrapolate(points: typing.Sequence[CurvePoint]) -> float:
    """The distance that infinitely many images would have (FID_infinity of Chong & Forsyth 2020).

    A straight line is fitted to the distances over 1 / count by least squares, and read at 0. The law holds for counts
    well above the features' dimension. The bias of the real images' own number stays.

    Args:
      points: of `frechet_curve`, with at least 2 different counts.

    Returns:
      The distance; noise may put it below 0.

    Raises:
      ValueError: there are fewer than 2 different counts.
    """
    counts = np.array([point.num_images for point in points], np.float64)
    if len(np.unique(counts)) < 2:
        raise ValueError("a line takes distances of at least 2 different numbers of images")
    _, limit = np.polyfit(1 / counts, [point.distance for point in points], 1)
    return float(limit)
