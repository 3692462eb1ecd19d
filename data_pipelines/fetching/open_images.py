"""Finds the images of Open Images to download: those that a narrative describes and that are not there yet."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable

from data_pipelines import published_files
from data_pipelines.fetching import many_files

# Open Images' ids have this form. The converter checks everything else in a line.
_IMAGE_ID = re.compile(rb'"image_id"\s*:\s*"([0-9a-f]{16})"')
_ARCHIVE_ENDS = (".tar.gz", ".tar")


def wanted(
    folder: published_files.ImageFolder, narratives: Iterable[pathlib.Path], source: pathlib.Path
) -> tuple[list[many_files.SmallFile], int]:
    """Lists the images of a split to download, each into the folder that its archive would unpack to.

    An image counts as present if it is in that folder, if it is in a folder with the split's name (as copied from Open
    Images' bucket), or if its archive is in the source folder.

    Args:
      folder: the published images of the split.
      narratives: files of Localized Narratives, with or without times and traces.
      source: the source folder.

    Returns:
      The missing images, sorted by id, and the number of all images with a narrative, missing or not.
    """
    ids = sorted({image_id for path in narratives for image_id in _image_ids(path)})
    archived = {name for name in _archives(folder) if any((source / f"{name}{end}").exists() for end in _ARCHIVE_ENDS)}
    files = []
    for image_id in ids:
        name, image = _archive_name(folder, image_id), f"{image_id}.jpg"
        path = source / name / image
        if name not in archived and not path.exists() and not (source / folder.split / image).exists():
            files.append(many_files.SmallFile(f"{folder.url}/{image}", path))
    return files, len(ids)


def count(folder: published_files.ImageFolder, source: pathlib.Path) -> int:
    """Returns how many images of a split are in the source folder."""
    folders = {source / name for name in (*_archives(folder), folder.split)}
    return sum(1 for path in folders if path.is_dir() for entry in path.iterdir() if entry.suffix == ".jpg")


def _archives(folder: published_files.ImageFolder) -> list[str]:
    """Returns the names of a split's archives without their endings; the folders in them have the same names."""
    return [f"{folder.split}_{digit}" for digit in "0123456789abcdef"] if folder.by_first_digit else [folder.split]


def _archive_name(folder: published_files.ImageFolder, image_id: str) -> str:
    return f"{folder.split}_{image_id[0]}" if folder.by_first_digit else folder.split


def _image_ids(path: pathlib.Path) -> Iterable[str]:
    """Yields the image id of each line. Uses a regular expression, because parsing all lines would take minutes."""
    with open(path, "rb") as file:
        for line in file:
            match = _IMAGE_ID.search(line)
            if match:
                yield match[1].decode()
