"""Draws the eight kinds of objects as small RGBA images: silhouette, facets, soft light from the upper left."""

from __future__ import annotations

import functools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data_pipelines.scenes import spec

_SUPERSAMPLING = 4
# Smallest and largest factor by which shade and light change a color.
_DARKEST, _LIGHTEST = 0.6, 1.25
_CREAM = (244, 232, 208)


@functools.lru_cache(maxsize=4096)
def render(kind: str, color: str, width: int) -> Image.Image:
    """Draws one object.

    Args:
      kind: one of `spec.KINDS`.
      color: a key of `spec.COLORS`.
      width: pixels per side.

    Returns:
      An RGBA image of `width` x `width` px, transparent around the object. It is cached and shared between callers, so
      it must not be changed.
    """
    side = width * _SUPERSAMPLING
    outline, facets, details = _SHAPES[kind]()
    alpha = _paint(side, [(polygon, 255) for polygon in outline])
    for hole in _HOLES.get(kind, ()):
        alpha = Image.composite(Image.new("L", (side, side), 0), alpha, _paint(side, [(hole, 255)]))
    light = _relief(alpha) * np.asarray(_paint(side, facets, background=128), np.float32) / 128
    rgb = _tint(np.array(spec.COLORS[color], np.float32), light)
    for polygon, detail_color in details:
        cover = np.asarray(_paint(side, [(polygon, 255)]), np.float32)[..., None] / 255
        rgb = rgb * (1 - cover) + np.array(detail_color, np.float32) * np.clip(light, 0.7, 1)[..., None] * cover
    rgba = np.concatenate([rgb, np.asarray(alpha, np.float32)[..., None]], axis=-1)
    return Image.fromarray(np.clip(rgba, 0, 255).astype(np.uint8), "RGBA").resize((width, width), Image.Resampling.BOX)


def _relief(alpha: Image.Image) -> np.ndarray:
    """Returns the light on a silhouette's rounded edge, [side, side]: above 1 at the upper left, below 1 opposite."""
    height = np.asarray(alpha.filter(ImageFilter.GaussianBlur(alpha.width / 11)), np.float32) / 255
    down, right = np.gradient(height * alpha.width / 11)
    rim = np.asarray(alpha.filter(ImageFilter.GaussianBlur(alpha.width / 45)), np.float32) / 255
    return (1 + 0.8 * (down + 0.7 * right)) * (0.72 + 0.28 * np.clip(2.6 * rim - 1.5, 0, 1))


def _tint(color: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Applies light [side, side] to a color [3]: 1 is neutral, less is darker, more is closer to white."""
    light = np.clip(light, _DARKEST, _LIGHTEST)[..., None]
    return np.where(light <= 1, color * light, color + (255 - color) * (light - 1) * 1.2)


def _paint(side: int, filled_shapes: list, background: int = 0) -> Image.Image:
    """Fills polygons (points in the unit square) or ellipses (boxes of four numbers) with gray levels."""
    image = Image.new("L", (side, side), background)
    draw = ImageDraw.Draw(image)
    for shape, level in filled_shapes:
        if len(shape) == 4 and not isinstance(shape[0], tuple):
            draw.ellipse([value * side for value in shape], fill=level)
        else:
            draw.polygon([(x * side, y * side) for x, y in shape], fill=level)
    return image


# Every function below returns (outline, facets, details): the shapes whose union is the silhouette, shapes with their
# light (128 is neutral), and shapes with a color that does not depend on the object's.


def _ball():
    return [(0.03, 0.03, 0.97, 0.97)], [((0.2, 0.14, 0.48, 0.4), 156)], []


def _box():
    front = [(0.05, 0.3), (0.7, 0.3), (0.7, 0.96), (0.05, 0.96)]
    top = [(0.05, 0.3), (0.3, 0.06), (0.95, 0.06), (0.7, 0.3)]
    side = [(0.7, 0.3), (0.95, 0.06), (0.95, 0.72), (0.7, 0.96)]
    return [front, top, side], [(top, 158), (side, 88)], []


def _pyramid():
    left = [(0.5, 0.03), (0.02, 0.88), (0.6, 0.97)]
    right = [(0.5, 0.03), (0.6, 0.97), (0.98, 0.8)]
    return [left, right], [(left, 138), (right, 86)], []


def _star():
    tips = []
    for corner in range(10):
        radius = 0.53 if corner % 2 == 0 else 0.235
        angle = math.pi * corner / 5
        tips.append((0.5 + radius * math.sin(angle), 0.54 - radius * math.cos(angle)))
    facets = []
    for corner in range(10):
        wing = [(0.5, 0.54), tips[corner], tips[(corner + 1) % 10]]
        facets.append((wing, 100 if corner % 2 == 0 else 142))
    return [tips], facets, []


def _ring():
    return [(0.03, 0.03, 0.97, 0.97)], [], []


def _moon():
    return [(0.06, 0.03, 1.0, 0.97)], [], []


def _heart():
    points = []
    for step in range(64):
        angle = 2 * math.pi * step / 64
        x = 16 * math.sin(angle) ** 3
        y = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle)
        points.append((0.5 + x / 34, 0.47 - y / 32))
    return [points], [((0.16, 0.15, 0.36, 0.34), 154)], []


def _mushroom():
    arc = [math.pi * step / 32 for step in range(33)]
    cap = [(0.5 - 0.48 * math.cos(angle), 0.56 - 0.52 * math.sin(angle)) for angle in arc]
    cap += [(0.9, 0.63), (0.1, 0.63)]
    stem = [(0.37, 0.6), (0.63, 0.6), (0.7, 0.97), (0.3, 0.97)]
    spots = [(0.2, 0.3, 0.36, 0.46), (0.45, 0.13, 0.61, 0.29), (0.66, 0.33, 0.82, 0.49)]
    return [cap, stem], [], [(stem, _CREAM), *((spot, _CREAM) for spot in spots)]


_SHAPES = {
    "ball": _ball,
    "box": _box,
    "pyramid": _pyramid,
    "star": _star,
    "ring": _ring,
    "moon": _moon,
    "heart": _heart,
    "mushroom": _mushroom,
}
# Shapes that are cut out of a silhouette.
_HOLES = {"ring": [(0.29, 0.29, 0.71, 0.71)], "moon": [(0.44, 0.0, 1.2, 0.76)]}
