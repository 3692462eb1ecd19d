"""Draws the eight backgrounds, each in eight variants of its details (horizon, clouds, stars, skyline, planks)."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data_pipelines.scenes import spec

VARIANTS = 8
_SUPERSAMPLING = 3


@functools.lru_cache(maxsize=len(spec.BACKGROUNDS) * VARIANTS)
def render(background: str, variant: int, size: int) -> Image.Image:
    """Draws a background.

    Args:
      background: a key of `spec.BACKGROUNDS`.
      variant: number of the variant, 0 .. VARIANTS - 1.
      size: pixels per side.

    Returns:
      An RGB image. It is cached and shared between callers, so it must not be changed.
    """
    canvas = _Canvas(size * _SUPERSAMPLING)
    _PAINTERS[background](canvas, np.random.default_rng([variant, list(spec.BACKGROUNDS).index(background)]))
    return canvas.image.resize((size, size), Image.Resampling.BOX)


class _Canvas:
    """An image that is painted in coordinates of the unit square; y points downwards."""

    def __init__(self, side: int):
        self._side = side
        self.image = Image.new("RGB", (side, side))

    def blend(self, top: float, bottom: float, *colors: tuple[int, int, int]) -> None:
        """Fills the rows from `top` to `bottom` with a vertical gradient of colors."""
        first, last = round(top * self._side), round(bottom * self._side)
        at = np.linspace(0, len(colors) - 1, last - first)
        column = np.stack([np.interp(at, range(len(colors)), channel) for channel in zip(*colors)], axis=-1)
        strip = Image.fromarray(column.astype(np.uint8)[:, None])
        self.image.paste(strip.resize((self._side, last - first)), (0, first))

    def box(self, left: float, top: float, right: float, bottom: float, color: tuple[int, ...]) -> None:
        ImageDraw.Draw(self.image).rectangle([value * self._side for value in (left, top, right, bottom)], fill=color)

    def ellipse(self, left: float, top: float, right: float, bottom: float, color: tuple[int, ...]) -> None:
        ImageDraw.Draw(self.image).ellipse([value * self._side for value in (left, top, right, bottom)], fill=color)

    def polygon(self, points: list[tuple[float, float]], color: tuple[int, ...]) -> None:
        ImageDraw.Draw(self.image).polygon([(x * self._side, y * self._side) for x, y in points], fill=color)

    def soften(self, radius: float) -> None:
        self.image = self.image.filter(ImageFilter.GaussianBlur(radius * self._side))


def _hills(canvas: _Canvas, rng: np.random.Generator, level: float, height: float, color) -> None:
    x = np.linspace(0, 1, 33)
    waves = sum((np.sin(2 * np.pi * (k * x + rng.uniform())) / k for k in (1, 2, 3)), start=np.zeros_like(x))
    canvas.polygon([(0, 1), *zip(x, level - height * (waves + 1.8) / 3.6), (1, 1)], color)


def _cloud(canvas: _Canvas, x: float, y: float, width: float, color) -> None:
    for dx, dy, radius in ((-0.3, 0.05, 0.22), (0.0, 0.0, 0.3), (0.3, 0.06, 0.2)):
        x0, y0, reach = x + dx * width, y + dy * width, radius * width
        canvas.ellipse(x0 - 1.4 * reach, y0 - 0.8 * reach, x0 + 1.4 * reach, y0 + 0.8 * reach, color)


def _meadow(canvas: _Canvas, rng: np.random.Generator) -> None:
    horizon = rng.uniform(0.5, 0.56)
    canvas.blend(0, horizon + 0.06, (104, 176, 240), (196, 228, 250))
    for x in rng.uniform(0.1, 0.9, size=2):
        _cloud(canvas, x, rng.uniform(0.08, 0.3), rng.uniform(0.2, 0.34), (232, 241, 252))
    canvas.soften(0.012)
    _hills(canvas, rng, horizon + 0.04, 0.08, (112, 178, 92))
    canvas.blend(horizon + 0.02, 1, (132, 200, 84), (74, 150, 52))
    for x, y in rng.uniform((0, horizon + 0.06), (1, 1), size=(60, 2)):
        canvas.polygon([(x - 0.006, y), (x + 0.004, y - 0.035), (x + 0.008, y)], (86, 164, 60))


def _beach(canvas: _Canvas, rng: np.random.Generator) -> None:
    horizon, shore = rng.uniform(0.33, 0.38), rng.uniform(0.54, 0.58)
    canvas.blend(0, horizon, (104, 186, 240), (190, 228, 248))
    canvas.blend(horizon, 0.66, (26, 142, 184), (96, 214, 212))
    for y in rng.uniform(horizon + 0.02, shore, size=7):
        x = rng.uniform(0, 0.9)
        canvas.box(x, y, x + rng.uniform(0.05, 0.15), y + 0.006, (170, 232, 232))
    _hills(canvas, rng, shore + 0.02, 0.05, (250, 252, 248))
    canvas.blend(shore + 0.02, 1, (250, 234, 190), (228, 200, 140))
    for x, y in rng.uniform((0, shore + 0.05), (1, 1), size=(40, 2)):
        canvas.ellipse(x, y, x + 0.014, y + 0.007, (214, 184, 128))


def _desert(canvas: _Canvas, rng: np.random.Generator) -> None:
    horizon = rng.uniform(0.52, 0.57)
    canvas.blend(0, horizon + 0.1, (116, 58, 122), (232, 104, 84), (255, 186, 92))
    sun = rng.uniform(0.15, 0.85)
    canvas.ellipse(sun - 0.1, horizon - 0.12, sun + 0.1, horizon + 0.08, (255, 236, 170))
    canvas.soften(0.006)
    _hills(canvas, rng, horizon + 0.05, 0.13, (206, 112, 58))
    _hills(canvas, rng, horizon + 0.14, 0.13, (224, 138, 72))
    _hills(canvas, rng, horizon + 0.36, 0.2, (236, 156, 86))
    canvas.soften(0.004)


def _snow(canvas: _Canvas, rng: np.random.Generator) -> None:
    horizon = rng.uniform(0.5, 0.55)
    canvas.blend(0, horizon, (150, 172, 196), (206, 218, 230))
    for x in np.arange(0.03, 1, 0.09) + rng.uniform(-0.03, 0.03, size=11):
        tall = rng.uniform(0.1, 0.17)
        canvas.polygon([(x - 0.04, horizon + 0.02), (x, horizon - tall), (x + 0.04, horizon + 0.02)], (72, 104, 100))
    canvas.blend(horizon, 1, (226, 234, 244), (250, 252, 255))
    _hills(canvas, rng, 0.86, 0.16, (240, 245, 252))
    canvas.soften(0.004)
    for x, y in rng.uniform(0, 1, size=(40, 2)):
        canvas.ellipse(x, y, x + 0.016, y + 0.016, (255, 255, 255))


def _night(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas.blend(0, 1, (10, 12, 44), (38, 44, 108))
    for x, y in rng.uniform((0, 0), (1, 0.85), size=(34, 2)):
        radius = rng.uniform(0.004, 0.011)
        canvas.ellipse(x - radius, y - radius, x + radius, y + radius, (255, 250, 220))
    _hills(canvas, rng, 0.93, 0.14, (26, 30, 58))


def _bricks(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas.box(0, 0, 1, 1, (206, 190, 176))
    for course in range(9):
        y = course / 8.5
        for x in np.arange(-1, 6) / 5 + (0.1 if course % 2 else 0) + rng.uniform(-0.004, 0.004):
            tone = rng.uniform(0.86, 1.08)
            color = tuple(int(tone * channel) for channel in (176, 92, 66))
            canvas.box(x + 0.008, y + 0.008, x + 0.192, y + 0.11, color)


def _wood(canvas: _Canvas, rng: np.random.Generator) -> None:
    for plank in range(6):
        left = plank / 6
        tone = rng.uniform(0.84, 1.1)
        canvas.box(left, 0, left + 1 / 6, 1, tuple(int(tone * channel) for channel in (178, 122, 70)))
        for x in rng.uniform(left + 0.01, left + 0.15, size=4):
            top = rng.uniform(-0.3, 0.9)
            canvas.box(x, top, x + 0.005, top + rng.uniform(0.2, 0.6), tuple(int(tone * c) for c in (150, 98, 54)))
        joint = rng.uniform(0.1, 0.9)
        canvas.box(left, joint, left + 1 / 6, joint + 0.01, (92, 58, 32))
        canvas.box(left, 0, left + 0.01, 1, (92, 58, 32))


def _city(canvas: _Canvas, rng: np.random.Generator) -> None:
    canvas.blend(0, 0.62, (176, 190, 206), (232, 228, 220))
    left = -rng.uniform(0, 0.08)
    while left < 1:
        width, roof = rng.uniform(0.11, 0.19), rng.uniform(0.1, 0.4)
        tone = rng.uniform(0.9, 1.15)
        canvas.box(left, roof, left + width, 0.62, tuple(int(tone * channel) for channel in (98, 110, 130)))
        for x in np.arange(left + 0.02, left + width - 0.03, 0.04):
            for y in np.arange(roof + 0.03, 0.56, 0.06):
                canvas.box(x, y, x + 0.02, y + 0.03, (242, 222, 150) if rng.random() < 0.5 else (74, 84, 104))
        left += width + 0.006
    canvas.blend(0.6, 1, (120, 122, 126), (150, 152, 156))
    for x in np.arange(-0.1, 1, 0.22) + rng.uniform(0, 0.1):
        canvas.polygon([(x, 0.8), (x + 0.12, 0.8), (x + 0.11, 0.825), (x - 0.01, 0.825)], (226, 226, 220))


_PAINTERS = {
    "meadow": _meadow,
    "beach": _beach,
    "desert": _desert,
    "snow": _snow,
    "night": _night,
    "bricks": _bricks,
    "wood": _wood,
    "city": _city,
}
