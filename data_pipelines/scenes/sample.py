"""Samples scenes at random: scene number `index` of a split is a pure function of (seed, split, index)."""

from __future__ import annotations

import itertools
import math
import zlib

import numpy as np

from data_pipelines.scenes import spec

SPLITS = ("train", "validation")
# Shares of scenes with one, two and three objects.
_NUM_OBJECTS = (0.45, 0.40, 0.15)
# One in this many combinations is held out for validation.
_HELD_OUT_ONE_IN = 10
_JITTER = 0.025


def is_held_out(scene: spec.Scene) -> bool:
    """Returns whether a scene belongs to the validation split, which depends only on its combination of contents.

    A combination consists of the background and the kinds and colors of the objects; it never occurs in both splits. So
    a validation caption that names all of these is new to a model trained on the training split, for any number of
    scenes and any seed.
    """
    content = sorted(f"{thing.color} {thing.kind}" for thing in scene.objects)
    return zlib.crc32("/".join([scene.background, *content]).encode()) % _HELD_OUT_ONE_IN == 0


def sample_scene(seed: int, split: str, index: int) -> spec.Scene:
    """Returns scene number `index` of a split.

    Args:
      seed: seed of the dataset, at least 0.
      split: 'train' or 'validation'.
      index: number of the scene, at least 0.

    Returns:
      The scene; it is held out (see `is_held_out`) if and only if `split` is 'validation'.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    background = _choose(rng, list(spec.BACKGROUNDS))
    num_objects = int(rng.choice(len(_NUM_OBJECTS), p=_NUM_OBJECTS)) + 1
    while True:
        scene = _sample(rng, background, num_objects)
        if is_held_out(scene) == (split == "validation"):
            return scene


def counts(num_train: int, num_val: int) -> dict[str, int]:
    """Returns the number of scenes to draw, by split.

    Raises:
      ValueError: one of them is less than 1.
    """
    if num_train < 1 or num_val < 1:
        raise ValueError(f"num_train={num_train}, num_val={num_val}: draw at least one scene for each split")
    return dict(zip(SPLITS, (num_train, num_val)))


def _sample(rng: np.random.Generator, background: str, num_objects: int) -> spec.Scene:
    visible = [color for color in spec.COLORS if color not in spec.BACKGROUNDS[background]]
    kinds = rng.permutation(spec.KINDS)[:num_objects]
    colors = rng.permutation(visible)[:num_objects]
    # All kinds and all colors within a scene differ, so 'the ball' and 'the red one' are unambiguous.
    while True:
        objects = tuple(_place(rng, str(kind), str(color)) for kind, color in zip(kinds, colors))
        if not any(_touch(one, other) for one, other in itertools.combinations(objects, 2)):
            return spec.Scene(background, objects, seed=int(rng.integers(2**31)))


def _place(rng: np.random.Generator, kind: str, color: str) -> spec.SceneObject:
    size = _choose(rng, list(spec.SIZES))
    column, row = _choose(rng, list(spec.COLUMNS)), _choose(rng, list(spec.ROWS))
    width = round(rng.uniform(*spec.SIZES[size]), 4)
    dx, dy = rng.uniform(-_JITTER, _JITTER, size=2)
    x, y = np.clip((spec.COLUMNS[column] + dx, spec.ROWS[row] + dy), width / 2, 1 - width / 2)
    return spec.SceneObject(
        kind=kind,
        color=color,
        size=size,
        column=column,
        row=row,
        x=round(float(x), 5),
        y=round(float(y), 5),
        width=width,
    )


def _touch(one: spec.SceneObject, other: spec.SceneObject) -> bool:
    # Rows are 0.43 apart, and two large objects, one above the other, may be that close.
    return math.hypot(one.x - other.x, one.y - other.y) < 0.47 * (one.width + other.width)


def _choose(rng: np.random.Generator, choices: list[str]) -> str:
    return choices[rng.integers(len(choices))]
