r"""Tables `captions.txt`, `.csv` or `.tsv` that name images wherever they are, with one caption in each line.

Flickr8k and Flickr30k are published in several such forms: `image,caption` with a head line, `name.jpg#0<TAB>caption`,
and `image_name| comment_number| comment`.
"""

from __future__ import annotations

import os
import re

from data_pipelines.builders.skipped import LEFT_OUT, Issue
from data_pipelines.layouts import columns, rows
from data_pipelines.layouts.listing import CaptionCollector, Listing, Options
from data_pipelines.layouts.split_words import split_in_file_name, split_of
from data_pipelines.layouts.tree import Tree
from xmcgan import text_files

_ENDINGS = (".txt", ".csv", ".tsv", ".token")
_NAME = re.compile(r"caption|token|results", re.IGNORECASE)
# Flickr8k publishes its captions a second time, reduced to the stems of the words.
_OTHER = re.compile(r"lemma|^metadata\.", re.IGNORECASE)
_BEGINNING = 1 << 16


def see(tree: Tree, options: Options) -> str:
    """Describes the tables that a source has; empty if it has none."""
    del options
    return ", ".join(_tables(tree))


def read(tree: Tree, options: Options) -> Listing:
    """Reads all tables of a source.

    Raises:
      ValueError: a table is not text or lacks a column, or two tables describe the same image.
    """
    collector = CaptionCollector(tree)
    owners: dict[str, str] = {}
    for path in _tables(tree):
        _read_table(tree, path, options, collector, owners)
    return collector.listing()


def read_table(tree: Tree, path: str, options: Options, collector: CaptionCollector) -> None:
    """Adds the captions of one table to a collector; see `read`."""
    _read_table(tree, path, options, collector, {})


def _read_table(tree: Tree, path: str, options: Options, collector: CaptionCollector, owners: dict[str, str]) -> None:
    where = os.fspath(tree.root / path)
    text = text_files.read_text(where, max_bytes=rows.MAX_BYTES)
    form = rows.form_of(text)
    if form is None:
        raise ValueError(f"{where}: the first line neither names an image nor a column {columns.IMAGE_COLUMNS[0]}")
    if options.caption_column and not form.head:
        raise ValueError(f"{where} has no head line: leave out --caption_column, or add one such as 'image,caption'")
    caption = form.image + 1
    if form.head:
        caption = form.head.index(columns.caption_column(form.head, options.caption_column, where))
    split_column = next((i for i, name in enumerate(form.head) if columns.normal(name) == columns.SPLIT_COLUMN), None)
    whole = split_in_file_name(path)
    for row in rows.read(text, form):
        if not row.image:
            collector.issues.append(Issue(LEFT_OUT, "caption", f"{path}, line {row.line}", "line without an image"))
            continue
        found = columns.captions_in(row.cells[caption]) if caption < len(row.cells) else []
        if not found:
            collector.issues.append(Issue(LEFT_OUT, "caption", f"{path}, line {row.line}", "line without a caption"))
        named = row.cells[split_column] if split_column is not None and split_column < len(row.cells) else ""
        image = collector.add(row.image, found, beside=path.rpartition("/")[0], split=split_of(named) or whole)
        if image and owners.setdefault(image, path) != path:
            raise ValueError(f"{owners[image]} and {path} both describe {image}: keep one of them in the source")


def _tables(tree: Tree) -> list[str]:
    """Returns the tables of a source: those that are named so, else any .csv or .tsv that names images."""
    candidates = [path for path in tree.files if path.lower().endswith(_ENDINGS) and not _is_other(path)]
    named = [path for path in candidates if _NAME.search(_file_name(path)) and _is_table(tree, path)]
    if named:
        return named
    top = [path for path in candidates if "/" not in path and path.lower().endswith((".csv", ".tsv"))]
    return [path for path in top if _is_table(tree, path)]


def _is_table(tree: Tree, path: str) -> bool:
    with (tree.root / path).open("rb") as file:
        beginning = file.read(_BEGINNING).decode("utf-8-sig", errors="replace")
    return rows.form_of(beginning) is not None


def _is_other(path: str) -> bool:
    return bool(_OTHER.search(_file_name(path)))


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]
