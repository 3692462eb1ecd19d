"""Mean and covariance of a stream of features, without keeping the features."""

from __future__ import annotations

import typing

import numpy as np
import numpy.typing as npt
from scipy.linalg import blas

from eval.metrics.checks import check_rows


class Moments:
    """Mean and covariance of all features given so far, in float64.

    Batches are merged by their scatter matrices (Chan, Golub & LeVeque 1983): deviations are squared only after their
    own batch's mean is taken from them, so that nothing cancels, however far the features lie from zero. The memory
    is that of one `[dim, dim]` matrix.

    Attributes:
      count: features given so far.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._mean = np.zeros(dim)
        # Sum of the deviations' outer products. The lower triangle alone is kept up; the order is that of BLAS.
        self._scatter = np.zeros((dim, dim), order="F")

    @property
    def dim(self) -> int:
        """Width of the features."""
        return len(self._mean)

    def update(self, features: npt.ArrayLike) -> None:
        """Takes in more features, in any number.

        Args:
          features: `[n, dim]`, of any float type.

        Raises:
          ValueError: they have another width, or some are not finite; nothing has been taken in then.
        """
        features = check_rows(features, "features", self.dim).astype(np.float64)
        if not len(features):
            return
        mean = features.mean(axis=0)
        self._add(len(features), mean, features - mean)

    def merge(self, other: Moments) -> None:
        """Takes in all that `other` was given, which stays as it is.

        Raises:
          ValueError: its features have another width.
        """
        if other.dim != self.dim:
            raise ValueError(f"features {other.dim} wide cannot be merged with features {self.dim} wide")
        if not other.count:
            return
        self._scatter += other._scatter
        self._add(other.count, other._mean, np.zeros((0, self.dim)))

    def _add(self, count: int, mean: np.ndarray, deviations: np.ndarray) -> None:
        """Merges `count` features with that mean `[dim]`, and these `[n, dim]` deviations from it."""
        total = self.count + count
        shift = mean - self._mean
        # The means' own distance is one more deviation, of the weight of both parts.
        vectors = np.vstack([deviations, np.sqrt(self.count * count / total) * shift])  # [n + 1, dim]
        # scatter += vectors^T vectors, in place and one triangle: 2 to 6 times as fast as NumPy's product here.
        self._scatter = blas.dsyrk(1.0, vectors.T, beta=1.0, c=self._scatter, lower=1, overwrite_c=1)
        self._mean = self._mean + shift * (count / total)
        self.count = total

    @property
    def mean(self) -> np.ndarray:
        """Mean `[dim]`.

        Raises:
          ValueError: there are fewer than 2 features.
        """
        self._require_two()
        return self._mean.copy()

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance `[dim, dim]`: the scatter over `count - 1`.

        Raises:
          ValueError: there are fewer than 2 features.
        """
        self._require_two()
        lower = np.tril(self._scatter)
        return (lower + np.tril(lower, -1).T) / (self.count - 1)

    def _require_two(self) -> None:
        if self.count < 2:
            raise ValueError(f"mean and covariance of {self.count} images: there must be at least 2")

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that there is to keep: `count []`, `mean [dim]` and `scatter [dim, dim]` (its lower triangle)."""
        return {"count": np.array(self.count), "mean": self._mean.copy(), "scatter": np.tril(self._scatter)}

    @classmethod
    def from_arrays(cls, arrays: typing.Mapping[str, np.ndarray]) -> Moments:
        """What `to_arrays` gave, bit for bit.

        Args:
          arrays: `count`, `mean` and `scatter`; an open `.npz` file will do.

        Raises:
          ValueError: one is missing, or they do not belong together.
        """
        missing = [name for name in ("count", "mean", "scatter") if name not in arrays]
        if missing:
            raise ValueError(f"no '{missing[0]}' among the stored statistics: remove the file, to make them again")
        count, mean, scatter = (np.asarray(arrays[name]) for name in ("count", "mean", "scatter"))
        if mean.ndim != 1 or scatter.shape != (len(mean), len(mean)) or count.shape != () or count < 0:
            raise ValueError(
                f"stored statistics of shapes {list(count.shape)}, {list(mean.shape)} and {list(scatter.shape)} do not "
                "belong together: remove the file, to make them again"
            )
        moments = cls(len(mean))
        moments.count = int(count)
        moments._mean = np.array(mean, np.float64)
        moments._scatter = np.array(scatter, np.float64, order="F")
        return moments
