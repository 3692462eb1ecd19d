"""Semantic Object Accuracy: how often a detector finds in an image what its caption names (paper, section 5.2).

After Hinz et al., "Semantic Object Accuracy for Generative Text-to-Image Synthesis" (arXiv 1910.13321).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ClassAccuracy(NamedTuple):
    """Of `total` images that should show a class, the detector finds it in `found`."""

    name: str
    found: int
    total: int

    @property
    def accuracy(self) -> float:
        """`found` / `total`, in [0, 1]; NaN without images."""
        return self.found / self.total if self.total else float("nan")


class Soa(NamedTuple):
    """Semantic object accuracies, in [0, 1].

    `soa_c` is the mean accuracy of the classes that have images, `soa_i` that of the images. `top` and `bottom` are
    SOA-C of the half of these classes with the most images, and of the other half: SOA-C-Top40 and SOA-C-Bot40 where
    all 80 have some, None of a single class. `per_class` has every class asked for, in their order.
    """

    soa_c: float
    soa_i: float
    top: float | None
    bottom: float | None
    per_class: list[ClassAccuracy]

    @property
    def missing(self) -> tuple[str, ...]:
        """The classes that no image should show, and which are in no score."""
        return tuple(one.name for one in self.per_class if not one.total)


def semantic_object_accuracy(detected: np.ndarray, wanted: np.ndarray, names: Sequence[str]) -> Soa:
    """SOA-C, SOA-I and their parts.

    With the official captions an image is wanted to show one class; of a caption that names many, its image counts
    once for each. The official code gives a class without images the accuracy -1 and takes that into its mean;
    here such a class is left out.

    Args:
      detected: [n, classes] bool, what the detector finds in each image.
      wanted: [n, classes] bool, what each image should show.
      names: of the classes.

    Returns:
      The scores.

    Raises:
      ValueError: arrays of other shapes or types, or no image should show anything.
    """
    shape = (len(wanted), len(names))
    if not (detected.shape == wanted.shape == shape and detected.dtype == wanted.dtype == bool):
        raise ValueError(
            f"SOA takes two bool arrays {list(shape)} of images and classes, not `detected` "
            f"{detected.dtype} {list(detected.shape)} and `wanted` {wanted.dtype} {list(wanted.shape)}"
        )
    found, total = (detected & wanted).sum(0), wanted.sum(0)  # [classes]
    if not total.any():
        raise ValueError(
            f"No caption names any of the {len(names)} classes, so there is no SOA: "
            "evaluate more captions, or captions of the detector's classes"
        )
    counted = np.flatnonzero(total)
    by_count = counted[np.argsort(total[counted], kind="stable")]  # Fewest images first.
    half = len(counted) // 2
    accuracies = found[by_count] / total[by_count]
    return Soa(
        soa_c=float(accuracies.mean()),
        soa_i=float(found.sum() / total.sum()),
        top=float(accuracies[half:].mean()) if half else None,
        bottom=float(accuracies[:half].mean()) if half else None,
        per_class=[ClassAccuracy(*one) for one in zip(names, found.tolist(), total.tolist())],
    )
