"""The check that every metric makes of what a network has given it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def check_rows(rows: npt.ArrayLike, name: str, dim: int | None = None) -> np.ndarray:
    """Refuses outputs of a network that no number should be made of.

    Args:
      rows: `[n, dim]`, one row for each image or caption.
      name: what they are, for the message: 'features'.
      dim: their width, where it is known.

    Returns:
      `rows` as an array, of its own dtype.

    Raises:
      ValueError: not of that shape, or some rows hold NaN or infinity.
    """
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.shape[1] != (dim or rows.shape[1]):
        raise ValueError(f"{name} of shape {list(rows.shape)}: they must be [n, {'dim' if dim is None else dim}]")
    bad = int(np.count_nonzero(~np.isfinite(rows).all(axis=1)))
    if bad:
        raise ValueError(
            f"{bad} of {len(rows)} {name} are not finite: the network or the images and captions that it was given "
            "are damaged; fetch its weights again and look at the images"
        )
    return rows
