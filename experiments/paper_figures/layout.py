"""Sheets of images with typeset captions, for papers: as PNG, and as PDF in which text stays text."""

from __future__ import annotations

import logging
import os
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib import figure

from xmcgan.files import replaced

FORMATS = ("png", "pdf")
logging.getLogger("fontTools").setLevel(logging.WARNING)  # It logs every font table that it drops.

_DPI = 200
_FONT_SIZE = 8.0  # Points.
_LINE = _FONT_SIZE * 1.25 / 72  # Inches.
_CHARACTER = _FONT_SIZE * 0.52 / 72  # Inches; mean width of a letter.
_IMAGE, _GAP, _LABEL = 1.0, 0.06, 1.7  # Inches.
_LONGEST_LABEL, _MOST_LINES = 4000, 40  # The rest of a text is cut off.


class Cell(NamedTuple):
    """An image and the text below it."""

    image: np.ndarray | None  # uint8 [height, width, 3]; None: an empty cell.
    text: str = ""


class Row(NamedTuple):
    """Images side by side, and the label to their left."""

    cells: list[Cell]
    label: str = ""


def sheet(rows: Sequence[Row], titles: Sequence[str] = (), dpi: int = _DPI) -> figure.Figure:
    """Lays out a sheet.

    Args:
      rows: the rows, from the top.
      titles: titles above the columns, if any.
      dpi: pixels per inch; every image is one inch by one inch.

    Returns:
      The figure, which is as large as its contents.
    """
    columns = max(len(row.cells) for row in rows)
    left = _LABEL if any(row.label for row in rows) else 0.0
    label_lines = [_wrapped(row.label, _LABEL - 2 * _GAP) for row in rows]
    text_lines = [[_wrapped(cell.text, _IMAGE) for cell in row.cells] for row in rows]
    heights = []
    for label, texts in zip(label_lines, text_lines):
        below = max(map(len, texts)) * _LINE
        heights.append(max(_IMAGE + below, len(label) * _LINE) + 2 * _GAP)
    title_lines = [_wrapped(title, _IMAGE) for title in titles]
    top = max(map(len, title_lines), default=0) * _LINE + _GAP
    width, height = left + columns * (_IMAGE + _GAP) + _GAP, top + sum(heights)

    drawn = figure.Figure(figsize=(width, height), dpi=dpi)  # Not by pyplot, which keeps figures in a global variable.

    def write(lines: Sequence[str], x: float, y: float, align: str) -> None:
        for i, line in enumerate(lines):  # Line by line: a block's position depends on the letters of its first line.
            baseline = y - (i + 0.8) * _LINE
            drawn.text(x / width, baseline / height, line, ha=align, fontsize=_FONT_SIZE, parse_math=False)

    lefts = [left + _GAP + column * (_IMAGE + _GAP) for column in range(columns)]
    for x, lines in zip(lefts, title_lines):
        write(lines, x + _IMAGE / 2, height - 0.5 * _GAP, "center")
    y = height - top
    for row, label, texts, row_height in zip(rows, label_lines, text_lines, heights):
        write(label, _GAP, y - _GAP, "left")
        for x, cell, lines in zip(lefts, row.cells, texts):
            if cell.image is not None:
                position = (x / width, (y - _GAP - _IMAGE) / height, _IMAGE / width, _IMAGE / height)
                axes = drawn.add_axes(position)
                axes.imshow(cell.image, interpolation="bicubic", aspect="auto")
                axes.set_axis_off()
            write(lines, x + _IMAGE / 2, y - _IMAGE - 1.4 * _GAP, "center")
        y -= row_height
    return drawn


def save(drawn: figure.Figure, path: str) -> list[str]:
    """Writes a sheet in all FORMATS, each file atomically.

    Args:
      drawn: a figure that `sheet` returned.
      path: the path without its extension.

    Returns:
      The paths of the files.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    files = [f"{path}.{extension}" for extension in FORMATS]
    for file, extension in zip(files, FORMATS):
        # TrueType fonts, which journals ask for.
        with replaced(file, "wb") as opened, matplotlib.rc_context({"pdf.fonttype": 42}):
            drawn.savefig(opened, format=extension)
    return files


def _wrapped(text: str, width: float) -> list[str]:
    shown = text[:_LONGEST_LABEL]
    return textwrap.wrap(shown, max(1, int(width / _CHARACTER)), max_lines=_MOST_LINES, placeholder=" ...")
