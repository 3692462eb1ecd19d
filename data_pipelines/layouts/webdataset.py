"""WebDataset's tar files: the image `key.jpg` with its captions in `key.txt`, one a line, or in `key.json`."""

from __future__ import annotations

import os
from typing import Any

from data_pipelines.builders import tar_files
from data_pipelines.builders.skipped import LEFT_OUT, Issue
from data_pipelines.layouts import columns
from data_pipelines.layouts.content import digest_of
from data_pipelines.layouts.listing import ListedImage, Listing, Options
from data_pipelines.layouts.split_words import split_in_file_name, split_of
from data_pipelines.layouts.tree import IMAGE_ENDINGS, Tree
from xmcgan import text_files

_ENDINGS = (".tar", ".tar.gz", ".tgz")
_KINDS = (*IMAGE_ENDINGS, ".txt", ".json")
# Larger than any image, and than the captions of one.
_MAX_BYTES, _MAX_TEXT_BYTES = 500_000_000, 1 << 20


def see(tree: Tree, options: Options) -> str:
    """Describes the tar files that a source has; empty if it has none."""
    del options
    archives = _archives(tree)
    return f"{len(archives)} tar files, such as {archives[0]}" if archives else ""


def read(tree: Tree, options: Options) -> Listing:
    """Reads the captions in all tar files of a source, and lists their images.

    Raises:
      ValueError: a tar file is broken.
    """
    listing = Listing([], [])
    for archive in _archives(tree):
        _read_archive(tree, archive, options, listing)
    return listing


def _archives(tree: Tree) -> list[str]:
    return [path for path in tree.files if path.lower().endswith(_ENDINGS)]


def _read_archive(tree: Tree, archive: str, options: Options, listing: Listing) -> None:
    images: dict[str, tuple[str, str]] = {}  # The image of each key, and the digest of its content.
    captions: dict[str, dict[str, list[Any]]] = {}  # Captions by key, then by the kind of the member.
    path = os.fspath(tree.root / archive)
    with text_files.advice(f"write {path} again, or leave it out"):
        for member, content in tar_files.read(path, _Samples(), _MAX_BYTES):
            key, kind = _key_and_kind(member)
            name = f"{archive}: {member}"
            if kind not in IMAGE_ENDINGS:
                try:
                    captions.setdefault(key, {})[kind] = _captions(content, kind, name, options)
                except ValueError as error:
                    listing.issues.append(Issue(LEFT_OUT, "caption", name, "captions that cannot be read", str(error)))
            elif key in images:
                listing.issues.append(Issue(LEFT_OUT, "image", name, "second image of its key"))
            else:
                images[key] = member, digest_of(content) if content else ""
    split = split_in_file_name(archive) or next(filter(None, map(split_of, archive.split("/")[:-1])), "")
    for key, (member, digest) in images.items():
        by_kind = captions.pop(key, {})
        found = by_kind.get(".txt") or by_kind.get(".json") or []
        listing.images.append(ListedImage(member, member.removeprefix("./"), tuple(found), split, archive, digest))
    for key in captions:
        listing.issues.append(Issue(LEFT_OUT, "caption", f"{archive}: {key}", "text without an image"))


class _Samples:
    """Contains the names of all members that belong to a sample."""

    def __contains__(self, member: object) -> bool:
        return _key_and_kind(str(member))[1] in _KINDS


def _key_and_kind(member: str) -> tuple[str, str]:
    """Splits a member's name at the first dot after its folders, as WebDataset does: `a.seg.png` is no image of `a`."""
    folder, _, name = member.removeprefix("./").rpartition("/")
    key, dot, ending = name.partition(".")
    return f"{folder}/{key}" if folder else key, f"{dot}{ending.lower()}" if key else ""


def _captions(content: bytes | None, kind: str, name: str, options: Options) -> list[Any]:
    if content is None or len(content) > _MAX_TEXT_BYTES:
        raise ValueError(f"longer than {_MAX_TEXT_BYTES:,} bytes")
    if kind == ".json":
        fields: dict[str, Any] = text_files.parse_json(content, dict[str, Any], name)
        if not options.caption_column and not any(columns.normal(field) in columns.CAPTION_COLUMNS for field in fields):
            return []
        return columns.captions_in(fields[columns.caption_column(fields, options.caption_column, name)])
    return [line for line in content.decode("utf-8-sig").replace("\r", "\n").split("\n") if line.strip()]
