"""Anyone's images in a folder, with a table of their captions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from PIL import Image

from data_pipelines.images import decode_image, resize_image
from data_pipelines.input_pipeline import CaptionList
from eval.sources import Source

CAPTIONS_FILE = "captions.tsv"
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF")


class ImageFolder(Source):
    """Anyone's images, in files."""

    def __init__(self, files: Sequence[str], *, image_size: int, identity: dict[str, Any]):
        """Args:
        files: PNG or JPEG, in the order of their captions.
        image_size: pixels a side; files of another size are resized to it as the dataset's images are.
        identity: tells which images these are.
        """
        self.identity = {
            "pictures": "files",
            "image_size": image_size,
            "resize": "bilinear without antialias, no crop",
            **identity,
        }
        self.size = len(files)
        self._files, self._image_size = files, image_size

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        files = tf.data.Dataset.from_tensor_slices(list(self._files[first:]))
        images = files.map(self._read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return images.batch(batch_size).map(lambda image: {"image": image}).prefetch(tf.data.AUTOTUNE)

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return batch["image"]

    def _read(self, path: tf.Tensor) -> tf.Tensor:
        return resize_image(decode_image(tf.io.read_file(path)), self._image_size)


def read(folder: str, captions: str = "", needs_captions: bool = True) -> tuple[list[str], CaptionList]:
    """The files of a folder of images, with their captions.

    Args:
      folder: of the images.
      captions: a table of one line an image: its file's name within the folder, a tab, its caption, and if several
        images show captions of one original, a tab and the original's id. By default `captions.tsv` in the folder.
      needs_captions: if not, and there is no such table, all images of the folder are taken, with empty captions.

    Returns:
      The paths of the images, and their captions with the originals' ids, in the order of the table.

    Raises:
      FileNotFoundError: the table, or an image that it names, is missing.
      ValueError: a line of the table is not as above or names a file that is no image, or there are fewer than two.
    """
    path = captions or os.path.join(folder, CAPTIONS_FILE)
    if not os.path.isfile(path):
        if not (captions or needs_captions):
            return _all_images(folder)
        raise FileNotFoundError(f"{path} is missing: write lines of 'file<TAB>caption', and pass --captions={path}")
    files, texts, ids = [], [], []
    with open(path, encoding="utf-8") as table:
        try:
            lines = table.readlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8") from error
    for number, line in enumerate(lines, start=1):
        fields = line.rstrip("\r\n").split("\t")
        if not line.strip():
            continue
        if len(fields) not in (2, 3) or not fields[0] or not fields[1].strip():
            raise ValueError(f"{path}, line {number}: not 'file<TAB>caption' (or 'file<TAB>caption<TAB>image id')")
        file = os.path.join(folder, fields[0])
        if not os.path.isfile(file):
            raise FileNotFoundError(f"{file} is missing: line {number} of {path} names it")
        _check(file, f"line {number} of {path}")
        files.append(file)
        texts.append(fields[1].strip())
        ids.append(fields[2] if len(fields) == 3 else fields[0])
    if len(files) < 2:
        raise ValueError(f"{path} names {len(files)} pictures: metrics need two or more")
    return files, CaptionList(texts, ids)


def _all_images(folder: str) -> tuple[list[str], CaptionList]:
    """The files of a folder without a table that are named as images are, by name."""
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{folder} is no folder: give one of pictures as --images")
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(_EXTENSIONS))
    if len(names) < 2:
        raise ValueError(f"{folder} has {len(names)} pictures ({', '.join(_EXTENSIONS)}): metrics need two or more")
    files = [os.path.join(folder, name) for name in names]
    for file in files:
        _check(file, "it")
    return files, CaptionList([""] * len(names), names)


def _check(file: str, place: str) -> None:
    """Refuses a file whose header is not that of an image that TensorFlow decodes."""
    try:
        with Image.open(file) as picture:
            if picture.format in _FORMATS:
                return
            reason = f"{picture.format} is not {', '.join(_FORMATS)}"
    except OSError:
        reason = "its header is unknown"
    raise ValueError(f"{file} is no picture that can be read ({reason}): replace it, or remove {place}")
