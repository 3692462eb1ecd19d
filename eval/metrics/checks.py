"""The check that every metric applies to the outputs of a network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def check_rows(rows: npt.ArrayLike, name: str, dim: int | None = None) -> np.ndarray:
    """Raises an error if a network's outputs have the wrong shape or are not finite.

    Args:
      rows: `[n, dim]`, one row for each image or caption.
      name: what the rows are, such as 'features'; used in error messages.
      dim: expected width, if known.

    Returns:
      `rows` as an array, with its dtype unchanged.

    Raises:
      ValueError: the shape is wrong, or some rows contain NaN or infinity.
    """
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.shape[1] != (dim or rows.shape[1]):
        raise ValueError(f"{name} of shape {list(rows.shape)}: they must be [n, {'dim' if dim is None else dim}]")
    bad = int(np.count_nonzero(~np.isfinite(rows).all(axis=1)))
    if bad:
        raise ValueError(
            f"{bad} of {len(rows)} {name} are not finite: the network or its input is damaged; download the weights "
            "again, and inspect the images and captions"
        )
    return rows
