"""Finds the image and the captions in the rows of a table or of JSON objects."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from xmcgan import escapes

IMAGE_COLUMNS = ("file_name", "filename", "image", "image_name", "image_file", "image_path", "file", "path", "img")
CAPTION_COLUMNS = ("text", "caption", "captions", "comment", "sentence", "sentences", "description")
SPLIT_COLUMN = "split"


def normal(column: object) -> str:
    """Spells a column's name in lower case, without spaces around it and with '_' between its words."""
    return "_".join(str(column).strip().lower().replace("-", " ").split())


def image_column(columns: Collection[str]) -> str:
    """Returns the column with the images' names, as it is spelled in the table; empty if there is none."""
    return _first(columns, IMAGE_COLUMNS)


def caption_column(columns: Collection[str], wanted: str, where: str) -> str:
    """Returns the column with the captions, as it is spelled in the table.

    Args:
      columns: those of the table.
      wanted: what --caption_column says; if empty, one of CAPTION_COLUMNS.
      where: the table, for the message.

    Raises:
      ValueError: there is no such column.
    """
    found = _first(columns, (normal(wanted),) if wanted else CAPTION_COLUMNS)
    if not found:
        missing = f"no column '{wanted}'" if wanted else f"no column {', '.join(CAPTION_COLUMNS[:-1])} or description"
        present = escapes.excerpt(", ".join(map(str, columns)))
        raise ValueError(f"{where} has {missing}, but {present}: name one by --caption_column")
    return found


def captions_in(cell: object) -> list[Any]:
    """Returns the captions in a cell: none, one, or several if it is a list or a JSON list of strings."""
    if cell is None:
        return []
    if isinstance(cell, (list, tuple)):
        return list(cell)
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            listed = json.loads(cell)
            if all(isinstance(each, str) for each in listed):
                return listed
    return [cell]


def get(row: Mapping[str, Any], column: str) -> Any:
    """Returns the value of a column, whatever the case of its name; None if there is none."""
    spelled = _first(row, (column,))
    return row[spelled] if spelled else None


def _first(columns: Collection[str], wanted: Collection[str]) -> str:
    spelled = {normal(column): column for column in reversed(list(columns))}
    return next((spelled[name] for name in wanted if name in spelled), "")
