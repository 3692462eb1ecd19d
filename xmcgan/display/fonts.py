"""Fonts for labels: Pillow's own, or for other scripts the one that comes with matplotlib."""

from __future__ import annotations

import functools
import typing

from absl import logging
from PIL import ImageFont

Font = typing.Union[ImageFont.FreeTypeFont, ImageFont.ImageFont]

_WITHOUT_GLYPH = "\U0010ffff"  # No letter: every font draws its box for it.


def font_for(text: str, size: int) -> Font:
    """Returns a font that has the letters of a text.

    That is Pillow's font, as far as it has them all, otherwise matplotlib's DejaVu Sans (Greek, Cyrillic, Hebrew,
    Arabic and many others). If neither has them, as for Chinese, a warning says which letters will be boxes.

    Args:
      text: all texts that will be drawn.
      size: of the letters, in pixels.
    """
    letters = sorted({letter for letter in text if not letter.isspace()})
    missing: dict[str, list[str]] = {}
    for name in ("default", "dejavu"):
        missing[name] = [letter for letter in letters if not _has(name, letter)]
        if not missing[name]:
            return _font(name, size)
    best = min(missing, key=lambda name: len(missing[name]))
    logging.log_first_n(
        logging.WARNING,
        "labels of grids show boxes for %d letters that no font here has, such as %s; images do not depend on it",
        1,
        len(missing[best]),
        " ".join(missing[best][:5]),
    )
    return _font(best, size)


@functools.lru_cache
def _font(name: str, size: int) -> Font:
    if name == "default":
        return ImageFont.load_default(size)
    from matplotlib import font_manager  # It takes a while.

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


@functools.lru_cache(maxsize=100_000)
def _has(name: str, letter: str) -> bool:
    """Returns whether a font has a letter: the box that it draws instead is always the same."""
    return _drawn(name, letter) != _drawn(name, _WITHOUT_GLYPH)


@functools.lru_cache(maxsize=100_000)
def _drawn(name: str, letter: str) -> bytes:
    mask = _font(name, 15).getmask(letter)
    return repr(mask.size).encode() + bytes(mask)
