"""Labeled grids of images, for `samples/`, TensorBoard and `python -m xmcgan.sample`."""

from __future__ import annotations

import os
import typing

import numpy as np
from PIL import Image, ImageDraw

from xmcgan.display import fonts
from xmcgan.files import replaced

_BACKGROUND = (255, 255, 255)
_INK = (32, 33, 36)
_MARGIN = 12  # Pixels around the grid, and between a label and its images.
_GAP = 4  # Pixels between images.
_FONT_SIZE = 15
_LINE_HEIGHT = 19
_ROW_LABEL_WIDTH = 232
_SMALLEST_IMAGE = 128  # Smaller images are enlarged to at least this.
_ELLIPSIS = "..."
# A page has at most this many pixels of height, and images.
_PAGE_HEIGHT, _PAGE_IMAGES = 16_384, 1024
_LONGEST_LABEL = 4000  # Letters that are looked at; Pillow refuses very long texts.


def image_grid(
    images: np.ndarray,
    row_labels: typing.Sequence[str] = (),
    column_labels: typing.Sequence[str] = (),
    scale: int = 0,
) -> np.ndarray:
    """Lays images out in rows and columns, row labels on the left and column labels on top.

    Args:
      images: [rows, columns, height, width, 3] uint8.
      row_labels: a caption for each row, wrapped, and shortened to the height of its row; empty for none.
      column_labels: a title for each column, shortened to one line; empty for none.
      scale: factor by which images are enlarged; 0 enlarges only small ones.

    Returns:
      [grid height, grid width, 3] uint8.

    Raises:
      ValueError: the shape or type of the images, or the number of labels is wrong.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 5 or images.shape[-1] != 3 or 0 in images.shape:
        raise ValueError(
            f"a grid takes uint8 images [rows, columns, height, width, 3], not {images.dtype} {list(images.shape)}"
        )
    rows, columns, height, width, _ = images.shape
    for name, labels, expected in (("row", row_labels, rows), ("column", column_labels, columns)):
        if len(labels) not in (0, expected):
            raise ValueError(f"a grid of {expected} {name}s takes {expected} {name} labels or none, not {len(labels)}")

    scale = scale or -(-_SMALLEST_IMAGE // max(height, width))
    height, width = height * scale, width * scale
    left = _MARGIN + (_ROW_LABEL_WIDTH + _MARGIN if len(row_labels) else 0)
    top = _MARGIN + (_LINE_HEIGHT + _MARGIN // 2 if len(column_labels) else 0)
    lefts = [left + column * (width + _GAP) for column in range(columns)]
    tops = [top + row * (height + _GAP) for row in range(rows)]
    canvas = Image.new("RGB", (lefts[-1] + width + _MARGIN, tops[-1] + height + _MARGIN), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font = fonts.font_for("".join((*row_labels, *column_labels)), _FONT_SIZE)

    for x, label in zip(lefts, column_labels):
        for line in wrap_text(label, font, width, max_lines=1):
            draw.text((x, _MARGIN), line, _INK, font)
    for y, label in zip(tops, row_labels):
        lines = wrap_text(label, font, _ROW_LABEL_WIDTH, max_lines=max(1, height // _LINE_HEIGHT))
        for index, line in enumerate(lines):
            draw.text((_MARGIN, y + index * _LINE_HEIGHT), line, _INK, font)
    for y, row in zip(tops, images):
        for x, image in zip(lefts, row):
            enlarged = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
            canvas.paste(enlarged, (x, y))
    return np.array(canvas)


def rows_of_page(num_columns: int, image_size: int) -> int:
    """Returns how many rows of a long grid make a page, so that programs can open it and memory is bounded."""
    return max(1, min(_PAGE_HEIGHT // max(image_size, _SMALLEST_IMAGE), _PAGE_IMAGES // num_columns))


def wrap_text(text: str, font: fonts.Font, width: int, max_lines: int) -> list[str]:
    """Breaks a text into lines, between words if possible.

    Args:
      text: any text; runs of white space count as one space.
      font: the font that the lines are drawn with.
      width: the largest width of a line, in pixels.
      max_lines: number of lines to keep; if there are more, the last one ends in an ellipsis.

    Returns:
      At most `max_lines` lines.
    """
    lines: list[str] = []
    rest = text[:_LONGEST_LABEL].split()
    is_cut = bool(rest) and len(text) > _LONGEST_LABEL
    while rest and len(lines) < max_lines:
        count = _fitting(rest, " ".join, font, width)
        if count == 0:  # The word is wider than a line: break it.
            word, letters = rest[0], max(1, _fitting(rest[0], "".join, font, width))
            rest[:1] = filter(None, (word[:letters], word[letters:]))
            count = 1
        lines.append(" ".join(rest[:count]))
        rest = rest[count:]
    if rest or is_cut:
        last = lines[-1]
        while last and font.getlength(last + _ELLIPSIS) > width:
            last = last[:-1]
        lines[-1] = last.rstrip() + _ELLIPSIS
    return lines


def _fitting(
    parts: typing.Sequence[str],
    join: typing.Callable[[typing.Sequence[str]], str],
    font: fonts.Font,
    width: int,
) -> int:
    """Returns how many of the first parts fit into `width` pixels when joined."""
    count = 0
    while count < len(parts) and font.getlength(join(parts[: count + 1])) <= width:
        count += 1
    return count


def save_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes an image as a PNG file, see `files.replaced`.

    Args:
      path: of the PNG file; missing folders are made.
      image: [height, width, 3] uint8.
    """
    path = os.fspath(path)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with replaced(path, "wb") as file:
        Image.fromarray(image).save(file, format="PNG")
