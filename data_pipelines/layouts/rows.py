"""Reads the rows of a table of text: with tabs, '|', ',' or ';' between its cells, with or without a head line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple

from data_pipelines.layouts import columns
from data_pipelines.layouts.tree import is_image

MAX_BYTES = 4 << 30
_SEPARATORS = ("\t", "|", ",", ";")
_NUMBER = re.compile(r"#\d+$")  # The number of a caption, as in Flickr8k's 'name.jpg#0'.


class Form(NamedTuple):
    """How a table is written."""

    separator: str
    head: tuple[str, ...]  # Names of its columns; empty without a head line.
    image: int  # Position of the column with the images' names.


class Row(NamedTuple):
    """A line of a table, without the head line."""

    line: int  # Number of its last line in the file, from 1.
    image: str
    cells: list[str]


def form_of(text: str) -> Form | None:
    """Returns how a table is written, judging by its first line; None if this is no table that names images.

    Args:
      text: the table, or its beginning.
    """
    first = _first_line(text)
    for separator in _SEPARATORS:
        try:
            cells = [cell.strip() for cell in next(_parse(first, separator, quoted=separator != "|"), (0, [""]))[1]]
        except csv.Error:  # A cell of 130,000 characters.
            continue
        if len(cells) < 2:
            continue
        names = [position for position, cell in enumerate(cells) if is_image(_image_name(cell))]
        if names and names[0] < len(cells) - 1:
            return Form(separator, (), names[0])
        column = columns.image_column(cells)
        if column and not names:
            return Form(separator, tuple(cells), cells.index(column))
    return None


def read(text: str, form: Form) -> Iterator[Row]:
    r"""Yields the rows of a table; empty lines are passed over.

    In many tables a caption may contain the separator or begin with a quotation mark without being quoted. So surplus
    cells are joined with the last one, and where quotation marks would swallow whole lines, none of them quotes.

    Args:
      text: the table; lines end in "\\n".
      form: its form.
    """
    quoted = form.separator != "|" and not _swallows_lines(text, form)
    width = len(form.head) or form.image + 2
    for number, (line, cells) in enumerate(_parse(text, form.separator, quoted)):
        if (form.head and number == 0) or not any(cell.strip() for cell in cells):
            continue
        if len(cells) > width:
            cells = [*cells[: width - 1], form.separator.join(cells[width - 1 :])]
        cells = [cell.strip(" ") for cell in cells] if form.separator == "|" else cells
        yield Row(line, _image_name(cells[form.image]) if form.image < len(cells) else "", cells)


def _first_line(text: str) -> str:
    """Returns the first line that is not empty."""
    inside = len(text) - len(text.lstrip())
    end = text.find("\n", inside)
    return text[text.rfind("\n", 0, inside) + 1 : end if end >= 0 else None]


def _image_name(cell: str) -> str:
    return _NUMBER.sub("", cell.strip())


def _swallows_lines(text: str, form: Form) -> bool:
    """Tells whether a cell, read with quotation marks, contains the beginning of another row."""
    try:
        for _, cells in _parse(text, form.separator, quoted=True):
            for cell in cells:
                for line in cell.split("\n")[1:]:
                    if is_image(_image_name(line.split(form.separator)[0])):
                        return True
    except csv.Error:  # A cell without an end.
        return True
    return False


def _parse(text: str, separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of the last line of each row, and its cells."""
    if not quoted:
        yield from ((number, line.split(separator)) for number, line in enumerate(text.split("\n"), start=1))
        return
    reader = csv.reader((f"{line}\n" for line in text.split("\n")), delimiter=separator)
    for cells in reader:
        if cells:
            yield reader.line_num, cells
