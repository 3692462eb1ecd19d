"""Draws a scene: background, shadows, objects, then light and a little noise over everything."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import tqdm
from PIL import Image, ImageDraw, ImageFilter

from data_pipelines.scenes import backgrounds, shapes, spec

DEFAULT_SIZE = 128
_JPEG_QUALITY = 95
# Standard deviation of the noise, in gray levels (0 to 255).
_NOISE = 2.5
# Flat backgrounds, which are directly behind the objects: all objects cast a shadow on them. On other backgrounds,
# objects at the top float.
_FLAT = ("bricks", "wood")
_FEW = 100  # So many scenes are drawn sooner than processes are forked and have drawn their own backgrounds.

_Result = TypeVar("_Result")


def draw(scene: spec.Scene, size: int = DEFAULT_SIZE) -> Image.Image:
    """Draws a scene.

    Args:
      scene: the scene to draw.
      size: pixels per side.

    Returns:
      An RGB image, a pure function of the arguments.
    """
    rng = np.random.default_rng(scene.seed)
    image = backgrounds.render(scene.background, int(rng.integers(backgrounds.VARIANTS)), size).copy()
    for thing in sorted(scene.objects, key=lambda thing: thing.y):  # Lower objects are nearer, so they are drawn later.
        left, top, width, _ = pixel_box(thing, size)
        if scene.background in _FLAT:
            shadow, down = _shadow(width, width), round(0.1 * width)
            image.paste(0, (left - round(0.2 * width) + down // 2, top - round(0.2 * width) + down), shadow)
        elif thing.row == "bottom":
            shadow = _shadow(width, width // 4)
            image.paste(0, (left - round(0.2 * width), top + width - shadow.height * 3 // 5), shadow)
        drawn = shapes.render(thing.kind, thing.color, width)
        image.paste(drawn, (left, top), drawn)
    return _light(image, rng)


def write_image(scene: spec.Scene, path: pathlib.Path, image_size: int) -> None:
    """Draws a scene into a JPEG file of `image_size` px per side."""
    draw(scene, image_size).save(path, quality=_JPEG_QUALITY)


def each_scene(write: Callable[[int], _Result], count: int, num_processes: int | None, title: str) -> Iterator[_Result]:
    """Yields `write(0)`, ... `write(count - 1)` in this order, computed by parallel processes if they are many.

    Args:
      write: draws the scene with the given number.
      count: number of scenes.
      num_processes: number of processes; None means one per core, and none for a few scenes.
      title: what is drawn, for the progress bar.
    """
    progress = functools.partial(tqdm.tqdm, total=count, desc=f"drawing {title}", unit="image", disable=None)
    if num_processes is None and count <= _FEW:
        yield from progress(map(write, range(count)))
        return
    # Forked workers start immediately, even if the program has imported TensorFlow. They use only NumPy and Pillow.
    with multiprocessing.get_context("fork").Pool(num_processes or os.cpu_count() or 1) as pool:
        yield from progress(pool.imap(write, range(count), chunksize=16))


def pixel_box(thing: spec.SceneObject, size: int) -> tuple[int, int, int, int]:
    """Returns left, top, width and height of an object, in pixels, in an image of `size` px per side."""
    width = round(thing.width * size)
    return round(thing.x * size - width / 2), round(thing.y * size - width / 2), width, width


@functools.lru_cache(maxsize=256)
def _shadow(width: int, height: int) -> Image.Image:
    """Returns the mask of a soft ellipse of about `width` x `height` px with a margin of a fifth of the width."""
    margin = round(0.2 * width)
    mask = Image.new("L", (width + 2 * margin, height + 2 * margin), 0)
    ImageDraw.Draw(mask).ellipse([margin, margin, margin + width, margin + height], fill=96)
    return mask.filter(ImageFilter.GaussianBlur(width / 16))


def _light(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightens one side, darkens the other, and adds noise."""
    pixels = np.asarray(image, np.float32)  # [size, size, 3]
    height, width, _ = pixels.shape
    slope_x, slope_y = rng.uniform(-0.1, 0.1, size=2)
    exposure = rng.uniform(0.96, 1.04)
    rows = np.linspace(-slope_y, slope_y, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(-slope_x, slope_x, width, dtype=np.float32)[None, :, None]
    noise = _NOISE * rng.standard_normal((height, width, 1), dtype=np.float32)
    return Image.fromarray(np.clip(pixels * (rows + columns + exposure) + noise, 0, 255).astype(np.uint8))
