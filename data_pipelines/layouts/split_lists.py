"""Lists of names that assign images to splits, such as Flickr8k's `Flickr_8k.trainImages.txt` or a `val.txt`.

A line names an image, with or without its folders and its ending, or a folder: CUB-200 and Oxford-102 come with lists
of classes. CUB-200's own `train_test_split.txt` is read too.
"""

from __future__ import annotations

import collections
import os
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from data_pipelines.layouts.listing import ListedImage
from data_pipelines.layouts.split_words import split_in_file_name
from data_pipelines.layouts.tree import Tree, stem
from xmcgan import text_files

_MAX_DEPTH = 3
_MAX_BYTES = 1 << 28
# A list assigns at least this share of its lines; files with fewer are something else.
_LEAST_SHARE = 0.5
_CUB_SPLIT, _CUB_IMAGES = "train_test_split.txt", "images.txt"


class Lists(NamedTuple):
    """What the lists of a source say."""

    splits: dict[int, str]  # By index of the image.
    files: list[str]


def read(tree: Tree, images: Sequence[ListedImage]) -> Lists:
    """Reads the lists of a source.

    Args:
      tree: the files of the source.
      images: the images to assign.

    Returns:
      The splits; an image on several lists is not for training.
    """
    candidates = [path for path in tree.files if _may_be_list(path)]
    if not candidates and not any(path.endswith(_CUB_SPLIT) for path in tree.files):
        return Lists({}, [])
    by_name = _by_name(images)
    found = Lists({}, [])
    for path in candidates:
        listed = _read_list(tree, path, by_name)
        if listed:
            found.files.append(path)
            split = split_in_file_name(path)
            for index in listed:
                if found.splits.get(index, "train") == "train":
                    found.splits[index] = split
    if not found.splits:
        _read_cub(tree, by_name, found)
    return found


def _may_be_list(path: str) -> bool:
    return path.lower().endswith(".txt") and path.count("/") < _MAX_DEPTH and bool(split_in_file_name(path))


def _by_name(images: Sequence[ListedImage]) -> dict[str, set[int]]:
    """Returns the images of each name: ends of their paths, with and without ending, and their folders' names."""
    found: dict[str, set[int]] = collections.defaultdict(set)
    for index, image in enumerate(images):
        for path in filter(None, (image.name, image.text)):
            parts = _normal(path).split("/")
            for start in range(len(parts)):
                name = "/".join(parts[start:])
                for key in (name, stem(name), parts[start] if start < len(parts) - 1 else ""):
                    found[key].add(index)
    return found


def _read_list(tree: Tree, path: str, by_name: dict[str, set[int]]) -> set[int]:
    """Returns the images that a list names; none if it is no such list."""
    try:
        text = text_files.read_text(os.fspath(tree.root / path), max_bytes=_MAX_BYTES)
    except ValueError:
        return set()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    found = [by_name.get(_normal(line)) or by_name.get(_normal(line.split()[0])) for line in lines]
    if sum(map(bool, found)) < max(1, _LEAST_SHARE * len(lines)):
        return set()
    return set().union(*filter(None, found))


def _read_cub(tree: Tree, by_name: dict[str, set[int]], found: Lists) -> None:
    """Reads CUB-200's numbers of images: `images.txt` gives the path of each, `train_test_split.txt` a 1 or 0."""
    for path in tree.files:
        folder, _, name = path.rpartition("/")
        listed = f"{folder}/{_CUB_IMAGES}" if folder else _CUB_IMAGES
        if name == _CUB_SPLIT and listed in tree.files:
            paths = _pairs(tree, listed)
            for number, is_train in _pairs(tree, path).items():
                for index in by_name.get(_normal(paths.get(number, "")), ()):
                    found.splits[index] = "train" if is_train == "1" else "test"
            found.files.append(path)


def _pairs(tree: Tree, path: str) -> dict[str, str]:
    text = text_files.read_text(os.fspath(tree.root / path), max_bytes=_MAX_BYTES)
    return dict(line.split(maxsplit=1) for line in text.split("\n") if len(line.split(maxsplit=1)) == 2)


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/").removeprefix("./"))
