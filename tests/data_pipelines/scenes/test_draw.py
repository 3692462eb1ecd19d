"""Images show what the scene says, where it says it, and are the same every time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from data_pipelines.scenes import draw, sample, spec


def _pixels(scene, size=64):
    return np.asarray(draw.draw(scene, size), np.float32)


def test_the_same_scene_gives_the_same_pixels():
    scene = sample.sample_scene(0, "train", 5)
    np.testing.assert_array_equal(_pixels(scene), _pixels(scene))
    assert np.any(_pixels(scene) != _pixels(dataclasses.replace(scene, seed=scene.seed + 1)))


@pytest.mark.parametrize("kind", spec.KINDS)
@pytest.mark.parametrize("background", spec.BACKGROUNDS)
def test_an_object_changes_its_place_and_little_else(kind, background):
    thing = spec.SceneObject(kind, "purple", "large", "right", "bottom", x=0.74, y=0.7, width=0.44)
    difference = np.abs(
        _pixels(spec.Scene(background, (thing,), seed=1)) - _pixels(spec.Scene(background, (), seed=1))
    ).max(axis=-1)
    left, top, width, height = draw.pixel_box(thing, 64)
    inside = difference[top : top + height, left : left + width]
    assert np.mean(inside > 25) > 0.3, "the object is plain to see"
    assert np.mean(difference[:, : left - 8]) < 1, "away from it and its shadow nothing changes"


@pytest.mark.parametrize("color", spec.COLORS)
def test_an_object_has_its_color(color):
    thing = spec.SceneObject("ball", color, "large", "middle", "bottom", x=0.5, y=0.7, width=0.44)
    pixels = _pixels(spec.Scene("wood", (thing,), seed=1))
    left, top, width, height = draw.pixel_box(thing, 64)
    middle = pixels[top + height // 3 : top + 2 * height // 3, left + width // 3 : left + 2 * width // 3]
    mean = middle.mean(axis=(0, 1))
    nearest = min(spec.COLORS, key=lambda name: np.sum((mean - spec.COLORS[name]) ** 2))
    assert nearest == color


def test_kinds_have_different_silhouettes():
    shapes = {}
    for kind in spec.KINDS:
        thing = spec.SceneObject(kind, "red", "large", "middle", "bottom", x=0.5, y=0.6, width=0.44)
        pixels = _pixels(spec.Scene("night", (thing,), seed=1)) - _pixels(spec.Scene("night", (), seed=1))
        shapes[kind] = np.abs(pixels).max(axis=-1) > 40
    for kind in spec.KINDS:
        for other in spec.KINDS:
            if kind != other:
                both, either = np.sum(shapes[kind] & shapes[other]), np.sum(shapes[kind] | shapes[other])
                assert both / either < 0.9, (kind, other)
