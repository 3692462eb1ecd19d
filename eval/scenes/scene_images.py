"""Images with labels, for training and measuring the scene recognizer."""

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

IMAGE_SIZE = 64  # Side length of the recognizer's input, in pixels.
# The largest faults added to training images. Blur, contrast with brightness, and noise each apply with a probability
# of 1/2.
_SHIFT = 0.04  # Shift of each object, as a share of the image's side length.
_BLUR = 1.0  # Radius in pixels.
_CONTRAST, _BRIGHTNESS = 0.2, 20.0  # Change of the contrast factor (around mid-gray), and of the gray levels.
_NOISE = 16.0  # Standard deviation in gray levels.
_MID_GRAY = 127.5
# From the most to the least prominent.
_SIZES = ("large", "small")
_ROWS = ("bottom", "top")  # Lower is nearer.
_COLUMNS = ("left", "middle", "right")


class SceneTargets(NamedTuple):
    """The contents of a batch of scenes. Centers and widths are relative to the image's side length."""

    background: np.ndarray  # [batch] int32: index into spec.BACKGROUNDS
    main_kind: np.ndarray  # [batch] int32: index into spec.KINDS, for the main object
    centers: np.ndarray  # [batch, kinds, 2] float32: y, x; 0 where a kind is absent
    widths: np.ndarray  # [batch, kinds] float32; 0 where a kind is absent


class LabeledImages(NamedTuple):
    """Images and their contents."""

    images: np.ndarray  # [count, 64, 64, 3] uint8 RGB
    targets: SceneTargets


def draw_images(seed: int, split: str, count: int, *, faulty: bool) -> LabeledImages:
    """Draws the first scenes of a split, on all cores.

    Args:
      seed: seed of the scenes, at least 0.
      split: one of `sample.SPLITS`.
      count: number of scenes.
      faulty: whether to shift objects slightly, and to blur images, fade them or add noise, so that a network trained
        on them can also handle generated images. Otherwise the images are as the input pipeline reads them.

    Returns:
      Images and labels; a pure function of the arguments.
    """
    draw_one = functools.partial(_draw_one, seed, split, faulty)
    drawn = list(draw.each_scene(draw_one, count, None, f"{split} scenes for the recognizer"))
    return LabeledImages(images=np.stack([image for image, _ in drawn]), targets=encode([scene for _, scene in drawn]))


def _draw_one(seed: int, split: str, faulty: bool, index: int) -> tuple[np.ndarray, spec.Scene]:
    """Draws scene number `index`; returns its image [64, 64, 3] uint8, and the scene as drawn."""
    scene = sample.sample_scene(seed, split, index)
    if not faulty:
        return np.asarray(as_read(scene)), scene
    rng = np.random.default_rng(scene.seed)
    scene = _shift(scene, rng)
    return _spoil(as_read(scene), rng), scene


def as_read(scene: spec.Scene) -> Image.Image:
    """Returns a scene's image as the input pipeline reads it: from a JPEG file of the usual size, halved to 64 px."""
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        draw.write_image(scene, pathlib.Path(file.name), draw.DEFAULT_SIZE)
        with Image.open(file.name) as image:
            return image.reduce(draw.DEFAULT_SIZE // IMAGE_SIZE)  # Same as bilinear sampling: the mean of four pixels.


def _shift(scene: spec.Scene, rng: np.random.Generator) -> spec.Scene:
    """Shifts each object slightly, within the image; its named row and column do not change."""

    def shift(thing: spec.SceneObject) -> spec.SceneObject:
        place = np.add((thing.x, thing.y), rng.uniform(-_SHIFT, _SHIFT, size=2))
        x, y = np.clip(place, thing.width / 2, 1 - thing.width / 2)
        return dataclasses.replace(thing, x=float(x), y=float(y))

    return dataclasses.replace(scene, objects=tuple(shift(thing) for thing in scene.objects))


def _spoil(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Randomly blurs an image, fades it and adds noise: [64, 64, 3] uint8."""
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
    """Encodes scenes as targets.

    Args:
      scenes: [batch] scenes; no kind appears twice in a scene.

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
    """Returns the object that defines a scene's class: the largest; among equals the nearest, then the leftmost.

    The order uses the named size and place, which differ clearly, and are never all equal for two objects. The width in
    pixels is not used: within a size it varies only by a twentieth, so it would leave the class of half the scenes to
    chance, and limit the Inception Score even of perfect images.
    """
    return min(
        scene.objects,
        key=lambda thing: (_SIZES.index(thing.size), _ROWS.index(thing.row), _COLUMNS.index(thing.column)),
    )
