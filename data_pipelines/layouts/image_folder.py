"""Hugging Face's image folders: `metadata.csv`, `.jsonl` or `.parquet` with `file_name` and captions, beside images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from data_pipelines.builders.skipped import LEFT_OUT, Issue
from data_pipelines.layouts import columns, tables
from data_pipelines.layouts.listing import CaptionCollector, Listing, Options
from data_pipelines.layouts.split_words import split_of
from data_pipelines.layouts.tree import Tree
from xmcgan import escapes, text_files

_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def see(tree: Tree, options: Options) -> str:
    """Describes the metadata files that a source has; empty if it has none."""
    del options
    return ", ".join(_metadata_files(tree))


def read(tree: Tree, options: Options) -> Listing:
    """Reads all metadata files of a source; each describes images in its own folder and below.

    Raises:
      ValueError: a file cannot be read, or lacks a column; or it is Parquet and pyarrow is not installed.
    """
    collector = CaptionCollector(tree)
    for path in _metadata_files(tree):
        if path.endswith(".csv"):
            tables.read_table(tree, path, options, collector)
            continue
        reader = _json_rows if path.endswith(".jsonl") else _parquet_rows
        for number, row in enumerate(reader(os.fspath(tree.root / path), options), start=1):
            _add(row, f"{path}, row {number}", path.rpartition("/")[0], options, collector)
    return collector.listing()


def _metadata_files(tree: Tree) -> list[str]:
    return [path for path in tree.files if path.rpartition("/")[2] in _FILES]


def _add(row: Mapping[str, Any], where: str, beside: str, options: Options, collector: CaptionCollector) -> None:
    image_column = columns.image_column(row)
    image = row[image_column] if image_column else None
    if not isinstance(image, str) or not image:
        collector.issues.append(Issue(LEFT_OUT, "caption", where, "line without an image"))
        return
    caption_column = columns.caption_column(row, options.caption_column, where)
    split = columns.get(row, columns.SPLIT_COLUMN)
    collector.add(
        image,
        columns.captions_in(row[caption_column]),
        beside=beside,
        split=split_of(split) if isinstance(split, str) else "",
    )


def _json_rows(path: str, options: Options) -> Iterator[Mapping[str, Any]]:
    del options
    for number, line in text_files.read_lines(path, newline="\n"):
        if line.strip():
            yield text_files.parse_json(line, dict[str, Any], f"{path}, line {number}", any_bytes=True)


def _parquet_rows(path: str, options: Options) -> Iterator[Mapping[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ValueError(f"reading {path} needs pyarrow: pip install 'xmcgan[parquet]'") from error
    with epath.Path(path).open("rb") as opened:
        try:
            file = parquet.ParquetFile(opened)
            names = file.schema_arrow.names
            image, caption = columns.image_column(names), columns.caption_column(names, options.caption_column, path)
            if not image:
                present = escapes.excerpt(", ".join(names))
                raise ValueError(f"{path} has no column file_name, but {present}: save the images as files")
            split = [name for name in names if columns.normal(name) == columns.SPLIT_COLUMN]
            for batch in file.iter_batches(columns=[image, caption, *split]):
                yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a Parquet file, or is damaged ({escapes.excerpt(str(error))})") from error
