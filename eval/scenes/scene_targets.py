"""What the scene recognizer is to find in a scene: as arrays, ready for its losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes import spec

# From the most to the least striking.
_SIZES = ("large", "small")
_ROWS = ("bottom", "top")  # Lower is nearer.
_COLUMNS = ("left", "middle", "right")


class SceneTargets(NamedTuple):
    """What is in a batch of scenes. Shares are of the image's side; the last two tell of every kind."""

    background: np.ndarray  # [batch] int32, into spec.BACKGROUNDS
    main_kind: np.ndarray  # [batch] int32, into spec.KINDS: of the main object
    centres: np.ndarray  # [batch, kinds, 2] float32: y, x; 0 where a kind is absent
    widths: np.ndarray  # [batch, kinds] float32; 0 where a kind is absent


def encode(scenes: Sequence[spec.Scene]) -> SceneTargets:
    """Turns scenes into targets.

    Args:
      scenes: [batch]; no kind comes twice in one.

    Returns:
      The targets, in the order of the scenes.
    """
    backgrounds = list(spec.BACKGROUNDS)
    centres = np.zeros([len(scenes), len(spec.KINDS), 2], np.float32)
    widths = np.zeros([len(scenes), len(spec.KINDS)], np.float32)
    for row, scene in enumerate(scenes):
        for thing in scene.objects:
            kind = spec.KINDS.index(thing.kind)
            centres[row, kind] = thing.y, thing.x
            widths[row, kind] = thing.width
    return SceneTargets(
        background=np.array([backgrounds.index(scene.background) for scene in scenes], np.int32),
        main_kind=np.array([spec.KINDS.index(main_object(scene).kind) for scene in scenes], np.int32),
        centres=centres,
        widths=widths,
    )


def main_object(scene: spec.Scene) -> spec.SceneObject:
    """The object that a scene is classed by: a large one before a small one, then a near one, then a left one.

    It goes by the named size and place, which differ clearly and never agree in all three. The width in pixels, which
    within a size varies by a twentieth, would leave the class of half the scenes to chance, and so would put a bound
    below what a perfect image deserves on the Inception Score.
    """
    return min(
        scene.objects,
        key=lambda thing: (_SIZES.index(thing.size), _ROWS.index(thing.row), _COLUMNS.index(thing.column)),
    )
