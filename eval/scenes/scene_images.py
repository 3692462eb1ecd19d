"""What the scene recognizer learns from and is measured on: drawn images, and what there is to find in them."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from data_pipelines.scenes import draw, sample, spec

IMAGE_SIZE = 64  # Of the recognizer.
# Faults of training images, at most; each image has each of the last three with even odds.
_SHIFT = 0.04  # Of an object from its place, as a share of the image's side.
_BLUR = 1.0  # Radius in pixels.
_CONTRAST, _BRIGHTNESS = 0.2, 20.0  # Change of the factor around the mid gray, and of the gray levels.
_NOISE = 16.0  # Standard deviation in gray levels.
_MID_GRAY = 127.5
# From the most to the least striking.
_SIZES = ("large", "small")
_ROWS = ("bottom", "top")  # Lower is nearer.
_COLUMNS = ("left", "middle", "right")


class SceneTargets(NamedTuple):
    """What is in a batch of scenes. Shares are of the image's side; the last two tell of every kind."""

    background: np.ndarray  # [batch] int32, into spec.BACKGROUNDS
    main_kind: np.ndarray  # [batch] int32, into spec.KINDS: of the main object
    centers: np.ndarray  # [batch, kinds, 2] float32: y, x; 0 where a kind is absent
    widths: np.ndarray  # [batch, kinds] float32; 0 where a kind is absent


class LabeledImages(NamedTuple):
    """Images and what is in them."""

    images: np.ndarray  # [count, 64, 64, 3] uint8 RGB
    targets: SceneTargets


def draw_images(seed: int, split: str, count: int, *, faulty: bool) -> LabeledImages:
    """Draws the first scenes of a split on all cores.

    Args:
      seed: of the scenes, at least 0.
      split: of `sample.SPLITS`.
      count: how many.
      faulty: put every object a little off its place, and blur, fade or disturb images, so that who learns from
        them is no stranger to a generator's; otherwise they are as the input pipeline gives them.

    Returns:
      The images; a pure function of the arguments.
    """
    draw_one = functools.partial(_draw_one, seed, split, faulty)
    drawn = list(draw.each_scene(draw_one, count, None, f"{split} scenes for the recognizer"))
    return LabeledImages(images=np.stack([image for image, _ in drawn]), targets=encode([scene for _, scene in drawn]))


def _draw_one(seed: int, split: str, faulty: bool, index: int) -> tuple[np.ndarray, spec.Scene]:
    """Scene number `index`: its image [64, 64, 3] uint8, and the scene as drawn."""
    scene = sample.sample_scene(seed, split, index)
    if not faulty:
        return np.asarray(as_read(scene)), scene
    rng = np.random.default_rng(scene.seed)
    scene = _shift(scene, rng)
    return _spoil(as_read(scene), rng), scene


def as_read(scene: spec.Scene) -> Image.Image:
    """A scene as the input pipeline reads it: from a JPEG file of the usual size, halved to 64 px."""
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        draw.write_image(scene, pathlib.Path(file.name), draw.DEFAULT_SIZE)
        with Image.open(file.name) as image:
            return image.reduce(draw.DEFAULT_SIZE // IMAGE_SIZE)  # Bilinear sampling between four pixels: their mean.


def _shift(scene: spec.Scene, rng: np.random.Generator) -> spec.Scene:
    """Puts each object a little off its place, within the image; its row and column stay what they are."""

    def shift(thing: spec.SceneObject) -> spec.SceneObject:
        place = np.add((thing.x, thing.y), rng.uniform(-_SHIFT, _SHIFT, size=2))
        x, y = np.clip(place, thing.width / 2, 1 - thing.width / 2)
        return dataclasses.replace(thing, x=float(x), y=float(y))

    return dataclasses.replace(scene, objects=tuple(shift(thing) for thing in scene.objects))


def _spoil(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Blurs, fades and disturbs an image, or does not: [64, 64, 3] uint8."""
    blurred, faded, noisy = rng.random(3) < 0.5
    if blurred:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, _BLUR)))
    pixels = np.asarray(image, np.float32)  # [64, 64, 3]
    if faded:
        factor, offset = 1 + rng.uniform(-_CONTRAST, _CONTRAST), rng.uniform(-_BRIGHTNESS, _BRIGHTNESS)
        pixels = _MID_GRAY + offset + factor * (pixels - _MID_GRAY)
    if noisy:
        pixels = pixels + rng.uniform(0, _NOISE) * rng.standard_normal(pixels.shape, np.float32)
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def encode(scenes: Sequence[spec.Scene]) -> SceneTargets:
    """Turns scenes into targets.

    Args:
      scenes: [batch]; no kind comes twice in one.

    Returns:
      The targets, in the order of the scenes.
    """
    backgrounds = list(spec.BACKGROUNDS)
    centers = np.zeros([len(scenes), len(spec.KINDS), 2], np.float32)
    widths = np.zeros([len(scenes), len(spec.KINDS)], np.float32)
    for row, scene in enumerate(scenes):
        for thing in scene.objects:
            kind = spec.KINDS.index(thing.kind)
            centers[row, kind] = thing.y, thing.x
            widths[row, kind] = thing.width
    return SceneTargets(
        background=np.array([backgrounds.index(scene.background) for scene in scenes], np.int32),
        main_kind=np.array([spec.KINDS.index(main_object(scene).kind) for scene in scenes], np.int32),
        centers=centers,
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
