"""The definition of a scene: one to three colored objects on a background."""

from __future__ import annotations

import dataclasses

KINDS = ("ball", "box", "pyramid", "star", "ring", "moon", "heart", "mushroom")

# sRGB in 0 .. 255.
COLORS = {
    "red": (218, 32, 38),
    "yellow": (252, 214, 32),
    "green": (40, 165, 62),
    "blue": (36, 84, 220),
    "purple": (132, 48, 178),
    "pink": (252, 128, 186),
    "white": (246, 246, 246),
    "black": (38, 38, 44),
}

# Each background with the colors that would not stand out from it; no object on it has one of them.
BACKGROUNDS = {
    "meadow": ("green",),
    "beach": ("yellow",),
    "desert": ("yellow",),
    "snow": ("white",),
    "night": ("black", "blue"),
    "bricks": ("red",),
    "wood": (),
    "city": ("black",),
}

# Smallest and largest width of an object of each size, as shares of the image's width.
SIZES = {"small": (0.32, 0.35), "large": (0.46, 0.50)}

# Centers of the columns and rows, as shares of the image's width and height.
COLUMNS = {"left": 0.245, "middle": 0.5, "right": 0.755}
ROWS = {"top": 0.27, "bottom": 0.7}


@dataclasses.dataclass(frozen=True)
class SceneObject:
    """One object; `x` and `y` (its center, y downwards) and `width` are shares of the image's side."""

    kind: str
    color: str
    size: str
    column: str
    row: str
    x: float
    y: float
    width: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """A scene to draw and describe; `seed` determines everything else: clouds, light, noise, wording."""

    background: str
    objects: tuple[SceneObject, ...]
    seed: int
