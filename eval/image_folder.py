"""Reads a folder of images, with a table of their captions."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import tqdm

from data_pipelines import image_files
from data_pipelines.in_order import map_in_order
from data_pipelines.input_pipeline import CaptionList
from xmcgan import escapes, text_files

CAPTIONS_FILE = "captions.tsv"
# How many images are checked before their results are collected.
_AHEAD = 256


class _Line(NamedTuple):
    """A line of the table."""

    name: str  # Name of the file, within the folder.
    caption: str
    image_id: str  # Id of the real image that the caption was written for.


class ImageFolder(NamedTuple):
    """The images of a folder."""

    path: str  # The folder.
    files: list[str]  # Paths of the images, in the order of the captions.
    captions: CaptionList
    passed_over: dict[str, int]  # How many other files the folder has, by kind, such as 'in subfolders'.

    def summary(self) -> str:
        """Returns one line that says which files were taken and which passed over."""
        others = ", ".join(f"{count:,} {kind}" for kind, count in self.passed_over.items())
        return f"{len(self.files):,} images taken" + (f"; passed over: {others}" if others else "")


def read(folder: str, captions: str = "", needs_captions: bool = True, may_repeat: bool = False) -> ImageFolder:
    """Lists the images of a folder and their captions.

    Args:
      folder: folder of the images.
      captions: table with a line for each image: the file's name within the folder, a tab, and the caption. If several
        images were generated from captions of the same real image, a tab and that image's id follow. By default
        `captions.tsv` in the folder.
      needs_captions: if False, and there is no such table, all images of the folder are used, with empty captions.
      may_repeat: whether an image may have several captions. A metric would count it as several images.

    Returns:
      The images, in the order of the table or of their names. `check` tells whether they can be used.

    Raises:
      FileNotFoundError: the table, or an image that it names, is missing.
      ValueError: a line of the table has another form, names a file outside of the folder, or repeats one that must not
        be repeated; or there are fewer than two images.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder} is not a folder: pass a folder of images as --images")
    path = captions or os.path.join(folder, CAPTIONS_FILE)
    if os.path.lexists(path):
        lines = _read_table(path, folder, may_repeat)
    elif captions or needs_captions:
        raise FileNotFoundError(f"{path} is missing: write lines of 'file<TAB>caption', and pass --captions={path}")
    else:
        lines = _list_images(folder)
    files = [os.path.join(folder, line.name) for line in lines]
    listed = CaptionList([line.caption for line in lines], [line.image_id for line in lines])
    return ImageFolder(folder, files, listed, _passed_over(folder, {line.name for line in lines}))


def check(files: Sequence[str]) -> dict[str, int]:
    """Decodes every image once, so that a damaged one is found before long work begins.

    Args:
      files: paths of image files.

    Returns:
      How many images were changed, by change, see `image_files.ImageFile`.

    Raises:
      ValueError: images cannot be used; the message names the first one, and says how many there are.
    """
    changes: collections.Counter[str] = collections.Counter()
    refusals = []
    bar = tqdm.tqdm(total=len(files), desc="checking images", unit="image", disable=None, dynamic_ncols=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        for found in map_in_order(pool, _changes, files, _AHEAD):
            if isinstance(found, str):
                refusals.append(found)
            else:
                changes.update(found)
            bar.update()
    if refusals:
        others = f" (and {len(refusals) - 1:,} others)" if len(refusals) > 1 else ""
        raise ValueError(refusals[0] + others)
    return dict(changes)


def _changes(file: str) -> tuple[str, ...] | str:
    """Returns what was changed in an image, or why it cannot be used."""
    try:
        return image_files.read(file).changes
    except ValueError as error:
        return str(error)


def _read_table(path: str, folder: str, may_repeat: bool) -> list[_Line]:
    """Reads the lines of a table, and checks that each names an image."""
    lines: list[_Line] = []
    numbers: dict[str, int] = {}
    for number, text in text_files.read_lines(path):
        if not text.strip():
            continue
        fields = text.split("\t")
        if len(fields) not in (2, 3) or not fields[0] or not fields[1].strip():
            raise ValueError(f"{path}, line {number}: not 'file<TAB>caption' (or 'file<TAB>caption<TAB>image id')")
        if not image_files.stays_within(fields[0]):
            raise ValueError(
                f"{path}, line {number}: '{escapes.excerpt(fields[0])}' is outside of the folder: write names relative "
                f"to {folder}"
            )
        file = os.path.join(folder, fields[0])
        if not os.path.lexists(file):
            raise FileNotFoundError(f"{escapes.excerpt(file, 500)} is missing: line {number} of {path} names it")
        if numbers.setdefault(fields[0], number) != number and not may_repeat:
            raise ValueError(
                f"{path}, line {number}: '{escapes.excerpt(fields[0])}' is in line {numbers[fields[0]]} already: write "
                "one line for each image"
            )
        lines.append(_Line(fields[0], fields[1].strip(), fields[2] if len(fields) == 3 else fields[0]))
    if len(lines) < 2:
        raise ValueError(f"{path} names {len(lines)} images: metrics need two or more")
    return lines


def _list_images(folder: str) -> list[_Line]:
    """Lists the image files of a folder without a table, sorted by name."""
    names = sorted(entry.name for entry in os.scandir(folder) if _is_image(entry))
    if len(names) < 2:
        others = _passed_over(folder, set(names))
        found = ", ".join(f"{count:,} {kind}" for kind, count in others.items())
        raise ValueError(
            f"{folder} has {len(names)} images ({', '.join(image_files.ENDINGS)}): metrics need two or more"
            + (f"; it also has {found}" if found else "")
        )
    return [_Line(name, "", name) for name in names]


def _is_image(entry: os.DirEntry) -> bool:
    is_named = entry.name.lower().endswith(image_files.ENDINGS) and not entry.name.startswith(".")
    return is_named and not entry.is_dir()


def _passed_over(folder: str, taken: set[str]) -> dict[str, int]:
    """Counts the files of a folder that are not in `taken`, by kind; most frequent first."""
    kinds: collections.Counter[str] = collections.Counter()
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        if entry.name not in taken and entry.name != CAPTIONS_FILE and not entry.is_dir():
            kinds[_kind(entry)] += 1
    kinds["images in subfolders"] += sum(1 for name in _images_below(folder) if name not in taken)
    return {kind: count for kind, count in kinds.most_common() if count}


def _kind(entry: os.DirEntry) -> str:
    if entry.name.startswith("."):
        return "hidden"
    if _is_image(entry):
        return "that the table does not name"
    ending = os.path.splitext(entry.name)[1]
    return ending if re.fullmatch(r"\.\w{1,8}", ending, re.ASCII) else "of other kinds"


def _images_below(folder: str) -> Iterable[str]:
    """Yields the names of the images in subfolders, relative to the folder; not those that an evaluation wrote."""
    for parent, folders, names in os.walk(folder):
        relative = os.path.relpath(parent, folder)
        folders[:] = [name for name in folders if not name.startswith(".") and (relative, name) != (".", "eval")]
        if relative != ".":
            yield from (os.path.join(relative, name) for name in names if name.lower().endswith(image_files.ENDINGS))
