"""Reads a folder of images, with a table of their captions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from absl import logging
from PIL import ExifTags, Image

from data_pipelines.input_pipeline import CaptionList

CAPTIONS_FILE = "captions.tsv"
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF")  # The formats that TensorFlow decodes.
_UPRIGHT = 1  # The EXIF orientation of an image that is stored upright.


class _Line(NamedTuple):
    """A line of the table."""

    name: str  # Name of the file, within the folder.
    caption: str
    image_id: str  # Id of the real image that the caption was written for.


def read(folder: str, captions: str = "", needs_captions: bool = True) -> tuple[list[str], CaptionList]:
    """Lists the images of a folder and their captions.

    The images themselves are read later, by `sources.FolderImages`. EXIF rotation tags are ignored, here as in the
    datasets; a warning says how many images have one.

    Args:
      folder: folder of the images.
      captions: table with a line for each image: the file's name within the folder, a tab, and the caption. If several
        images were generated from captions of the same real image, a tab and that image's id follow. By default
        `captions.tsv` in the folder.
      needs_captions: if False, and there is no such table, all images of the folder are used, with empty captions.

    Returns:
      The paths of the images, and their captions and image ids, in the order of the table.

    Raises:
      FileNotFoundError: the table, or an image that it names, is missing.
      ValueError: a line of the table has another form or names a file that is not an image, or there are fewer than
        two images.
    """
    path = captions or os.path.join(folder, CAPTIONS_FILE)
    if os.path.isfile(path):
        lines = _read_table(path, folder)
    elif captions or needs_captions:
        raise FileNotFoundError(f"{path} is missing: write lines of 'file<TAB>caption', and pass --captions={path}")
    else:
        lines = _list_images(folder)
    files = [os.path.join(folder, line.name) for line in lines]
    _warn_of_turned(files)
    return files, CaptionList([line.caption for line in lines], [line.image_id for line in lines])


def _read_table(path: str, folder: str) -> list[_Line]:
    """Reads the lines of a table, and checks that each names an image."""
    with open(path, encoding="utf-8") as table:
        try:
            texts = table.readlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    lines = []
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        fields = text.rstrip("\r\n").split("\t")
        if len(fields) not in (2, 3) or not fields[0] or not fields[1].strip():
            raise ValueError(f"{path}, line {number}: not 'file<TAB>caption' (or 'file<TAB>caption<TAB>image id')")
        file = os.path.join(folder, fields[0])
        if not os.path.isfile(file):
            raise FileNotFoundError(f"{file} is missing: line {number} of {path} names it")
        _check_format(file, f"line {number} of {path}")
        lines.append(_Line(fields[0], fields[1].strip(), fields[2] if len(fields) == 3 else fields[0]))
    if len(lines) < 2:
        raise ValueError(f"{path} names {len(lines)} images: metrics need two or more")
    return lines


def _list_images(folder: str) -> list[_Line]:
    """Lists the image files of a folder without a table, sorted by name."""
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder} is not a folder: pass a folder of images as --images")
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(_EXTENSIONS))
    if len(names) < 2:
        raise ValueError(f"{folder} has {len(names)} images ({', '.join(_EXTENSIONS)}): metrics need two or more")
    for name in names:
        _check_format(os.path.join(folder, name), "it")
    return [_Line(name, "", name) for name in names]


def _check_format(file: str, place: str) -> None:
    """Raises an error unless a file's header is that of an image that TensorFlow can decode."""
    try:
        with Image.open(file) as image:
            if image.format in _FORMATS:
                return
            reason = f"{image.format} is not {', '.join(_FORMATS)}"
    except OSError:
        reason = "unknown header"
    raise ValueError(f"{file} is not a readable image ({reason}): replace it, or remove {place}")


def _warn_of_turned(files: Sequence[str]) -> None:
    turned = [file for file in files if _is_turned(file)]
    if turned:
        logging.warning(
            "%d of %d images have an EXIF rotation tag, such as %s. The tag is ignored: save these images "
            "rotated if they are not upright",
            len(turned),
            len(files),
            turned[0],
        )


def _is_turned(file: str) -> bool:
    with Image.open(file) as image:  # Other formats than JPEG rarely have the tag, and would have to be decoded.
        return image.format == "JPEG" and image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT
