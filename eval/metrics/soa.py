"""Semantic Object Accuracy (SOA): how often a detector finds the objects that a caption names (paper section 5.2).

After Hinz et al., "Semantic Object Accuracy for Generative Text-to-Image Synthesis" (arXiv 1910.13321).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ClassAccuracy(NamedTuple):
    """Accuracy for one class: the detector finds it in `found` of the `total` images that should show it."""

    name: str
    found: int
    total: int

    @property
    def accuracy(self) -> float:
        """The ratio of `found` to `total`, in [0, 1]; NaN without images."""
        return self.found / self.total if self.total else float("nan")


class Soa(NamedTuple):
    """Semantic object accuracies, in [0, 1].

    `top` and `bottom` are SOA-C-Top40 and SOA-C-Bot40 if all 80 classes of COCO have images.
    """

    soa_c: float  # Mean over the classes that have images.
    soa_i: float  # Mean over the images.
    top: float | None  # SOA-C of the half of these classes with the most images; None for a single class.
    bottom: float | None  # SOA-C of the other half; None for a single class.
    per_class: list[ClassAccuracy]  # All classes, in the order of the arguments.

    @property
    def missing(self) -> tuple[str, ...]:
        """The classes that no image should show. They are in none of the scores."""
        return tuple(one.name for one in self.per_class if not one.total)


def semantic_object_accuracy(detected: np.ndarray, wanted: np.ndarray, names: Sequence[str]) -> Soa:
    """Computes SOA-C, SOA-I and the accuracy of each class.

    With the official captions, each image should show one class. With other captions, an image counts once for every
    class that its caption names. A class without images is left out of the means; the official code instead includes
    it with an accuracy of -1.

    Args:
      detected: [n, classes] bool, the classes that the detector finds in each image.
      wanted: [n, classes] bool, the classes that each image should show.
      names: names of the classes.

    Returns:
      The accuracies.

    Raises:
      ValueError: the arrays have other shapes or types, or no image should show any class.
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
