"""JPEG files that compress like photographs: drawn with the statistics of natural images, or read from a folder."""

from __future__ import annotations

import io
import os
import pathlib

import numpy as np
from PIL import Image

_WIDTH, _HEIGHT, _QUALITY = 640, 480, 92
_PATCHES = 24


def draw(number: int, seed: int = 0) -> list[bytes]:
    """Draws 640 x 480 JPEG files of 100 to 200 kB.

    Like natural images, they have amplitudes that fall as 1 / frequency, edges where objects occlude each other, and
    some camera noise.

    Args:
      number: number of images, which are all different.
      seed: seed of the images.
    """
    return [_photograph(np.random.default_rng([seed, i])) for i in range(number)]


def read(folder: str | os.PathLike) -> list[bytes]:
    """Reads all JPEG files in a folder and its subfolders.

    Raises:
      FileNotFoundError: there are no such files.
    """
    names = sorted(path for path in pathlib.Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not names:
        raise FileNotFoundError(f"no .jpg or .jpeg files in {folder}: give a folder of photographs")
    return [name.read_bytes() for name in names]


def _photograph(rng: np.random.Generator) -> bytes:
    canvas = _clouds(rng)
    y, x = np.mgrid[:_HEIGHT, :_WIDTH]
    for _ in range(_PATCHES):
        center, radii = rng.uniform(0, [_WIDTH, _HEIGHT]), rng.uniform(15, 150, size=2)
        inside = ((x - center[0]) / radii[0]) ** 2 + ((y - center[1]) / radii[1]) ** 2 < 1
        shift = rng.integers(0, [_HEIGHT, _WIDTH])
        texture = np.roll(canvas, shift, axis=(0, 1))  # Another part of the clouds; its brightness changes below.
        canvas[inside] = 0.8 * texture[inside] + rng.uniform(-40, 60, size=3)
    canvas += rng.normal(0, 3, size=canvas.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _clouds(rng: np.random.Generator) -> np.ndarray:
    """Returns noise with amplitudes of 1 / frequency, [height, width, 3], mostly common to the three channels."""
    frequency = np.hypot(np.fft.fftfreq(_HEIGHT)[:, None], np.fft.rfftfreq(_WIDTH)[None])
    frequency[0, 0] = np.inf
    spectra = np.fft.rfft2(rng.normal(size=[4, _HEIGHT, _WIDTH])) / frequency
    common, *channels = np.fft.irfft2(spectra, s=[_HEIGHT, _WIDTH])
    mixed = np.stack([common + 0.3 * channel for channel in channels], axis=-1)
    return 128 + 45 * mixed / mixed.std()
