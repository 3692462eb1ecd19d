"""Fréchet distance between two sets of features; with Inception features it is FID (paper section 5.2).

d^2 = |m_1 - m_2|^2 + Tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)), with means m and covariances S. The last trace is computed as
the sum of the singular values of R_1^T R_2, where S = R R^T is factorized by `eigh`. This sum equals the usual
trace of (S_1^(1/2) S_2 S_1^(1/2))^(1/2), but avoids square roots of that product's eigenvalues. Those roots would raise
rounding errors from 1e-16 to 1e-8 in each direction in which the features do not vary.
"""

from __future__ import annotations

import typing

import numpy as np

from eval.metrics.checks import check_rows
from eval.metrics.moments import Moments


def frechet_distance(
    mean_1: np.ndarray, covariance_1: np.ndarray, mean_2: np.ndarray, covariance_2: np.ndarray
) -> float:
    """Computes the squared Fréchet distance between two Gaussians, the number that is reported as FID.

    Covariances may be rank-deficient, as they are with fewer images than features.

    Args:
      mean_1: mean of the first Gaussian, `[dim]`.
      covariance_1: its covariance, `[dim, dim]`, symmetric; only the lower triangle is read.
      mean_2: mean of the second Gaussian, `[dim]`.
      covariance_2: its covariance, `[dim, dim]`.

    Returns:
      The squared distance, 0 or greater.

    Raises:
      ValueError: the shapes do not fit together, or a number is not finite.
    """
    return _distance(_factorize(mean_1, covariance_1), _factorize(mean_2, covariance_2))


class _Gaussian(typing.NamedTuple):
    """A Gaussian with a factorized covariance."""

    mean: np.ndarray  # [dim]
    trace: float  # Trace of the covariance.
    root: np.ndarray  # [dim, rank]; root @ root.T is the covariance.


def _factorize(mean: np.ndarray, covariance: np.ndarray) -> _Gaussian:
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(f"a mean of shape {list(mean.shape)} and a covariance of shape {list(covariance.shape)}")
    check_rows(mean[np.newaxis], "means")
    check_rows(covariance, "rows of the covariance")
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)  # [dim], ascending; [dim, dim]
    # Eigenvalues this small are zeros with rounding errors. Their roots would matter: 1e-8 instead of 1e-16.
    noise = len(mean) * np.finfo(np.float64).eps * eigenvalues[-1]
    positive = eigenvalues > max(noise, 0.0)
    return _Gaussian(mean, float(np.trace(covariance)), eigenvectors[:, positive] * np.sqrt(eigenvalues[positive]))


def _distance(first: _Gaussian, second: _Gaussian) -> float:
    if len(first.mean) != len(second.mean):
        raise ValueError(f"features {len(first.mean)} and {len(second.mean)} wide cannot be compared")
    cross_trace = np.linalg.svd(first.root.T @ second.root, compute_uv=False).sum()  # SVD of [rank_1, rank_2].
    shift = first.mean - second.mean
    # Rounding may make the distance of equal Gaussians negative.
    return max(float(shift @ shift + first.trace + second.trace - 2 * cross_trace), 0.0)


class CurvePoint(typing.NamedTuple):
    """The distance computed from `num_images` features."""

    num_images: int
    distance: float


def frechet_curve(
    features: np.ndarray, reference: Moments, counts: typing.Sequence[int], *, seed: int = 0
) -> list[CurvePoint]:
    """Computes the distance for several numbers of images; it is biased upwards, roughly in proportion to 1 / count.

    The features are shuffled first, because neighboring captions in a list may be similar. Each point uses all the
    features of the previous point, and more.

    Args:
      features: features of all images, `[n, dim]`.
      reference: moments of the real images, with which all points are compared.
      counts: numbers of features, from 2 to n, in any order.
      seed: seed of the shuffling.

    Returns:
      A point for each distinct count, in ascending order.

    Raises:
      ValueError: a count is out of range, or the features have a wrong shape or are not finite.
    """
    features = check_rows(features, "features", reference.dim)
    counts = sorted(set(counts))
    if not counts or counts[0] < 2 or counts[-1] > len(features):
        raise ValueError(f"distances of {counts} images: there are {len(features)}, and at least 2 are needed")
    order = np.random.default_rng(seed).permutation(len(features))
    real = _factorize(reference.mean, reference.covariance)
    moments = Moments(reference.dim)
    points = []
    for start, stop in zip([0, *counts], counts):
        moments.update(features[order[start:stop]])
        points.append(CurvePoint(stop, _distance(_factorize(moments.mean, moments.covariance), real)))
    return points


def extrapolate(points: typing.Sequence[CurvePoint]) -> float:
    """Estimates the distance for infinitely many images (FID_infinity of Chong & Forsyth 2020).

    Fits a straight line to the distances as a function of 1 / count by least squares, and evaluates it at 0. The linear
    law holds for counts well above the features' dimension. The bias from the finite number of real images remains.

    Args:
      points: points from `frechet_curve`, with at least 2 different counts.

    Returns:
      The limit; noise may make it negative.

    Raises:
      ValueError: there are fewer than 2 different counts.
    """
    counts = np.array([point.num_images for point in points], np.float64)
    if len(np.unique(counts)) < 2:
        raise ValueError("fitting a line needs distances for at least 2 different numbers of images")
    _, limit = np.polyfit(1 / counts, [point.distance for point in points], 1)
    return float(limit)
