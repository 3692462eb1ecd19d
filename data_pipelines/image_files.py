"""The one reader of image files: conversion, metrics, rankings and the dual encoder take images through it.

It reads JPEG (also MPO), PNG, BMP, GIF, WebP and TIFF files. What an image shows is decided by these rules:

  orientation    images are turned upright, as their EXIF tag says
  transparency   transparent pixels are laid over white
  colors         palettes, gray, and CMYK become RGB
  16 bits        the upper 8 are kept
  several        the first frame of an animation, the first image of an MPO or TIFF file
  size           at most 100,000,000 pixels and 500 MB
  scans          at most 50 in a progressive JPEG
  damage         files that are truncated or corrupt are refused

TensorFlow decodes JPEG files, and PNG files without transparency, to the same bits as in training; Pillow decodes the
others.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import warnings
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from etils import epath
from PIL import ExifTags, Image

from data_pipelines import jpegs
from data_pipelines.jpegs import MAX_PIXELS

# Names the rules above in the protocols of metrics, wherever they make a difference. Change it if they change.
RULES = "upright by EXIF, transparency over white, first frame"
# Endings of the names of such files, in lower case.
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
MAX_BYTES = 500_000_000  # Larger than the file of any image of MAX_PIXELS.

_FORMATS = ("PNG", "BMP", "GIF", "WEBP", "TIFF")  # Beside JPEG; MPO begins with one.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_UPRIGHT, _OVER_WHITE, _EIGHT_BITS, _PALETTE, _FIRST = (
    "turned upright",
    "transparency laid over white",
    "16 bits reduced to 8",
    "palette expanded",
    "first of several frames",
)
_JPEG_OPTIONS: dict[str, Any] = {"format": "JPEG", "quality": 95, "subsampling": 0}
_PNG_OPTIONS: dict[str, Any] = {"format": "PNG"}
_PNG_DEPTH = 24  # Position of the bits per sample in a PNG file.
# Pillow warns of broken EXIF data, and of more than 89 million pixels. Here the rules say what becomes of both.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageFile(NamedTuple):
    """The content of an image file."""

    rgb: np.ndarray  # [height, width, 3] uint8
    changes: tuple[str, ...]  # What the rules changed in the stored pixels, a few words each; empty for plain images.


class StoredImage(NamedTuple):
    """An image as a record stores it."""

    content: bytes  # A JPEG or PNG file.
    changes: tuple[str, ...]  # What was changed, a few words each; empty if these are the bytes of the file.


def read(path: str | os.PathLike) -> ImageFile:
    """Reads an image file.

    Args:
      path: path of the file, on the disk or in a bucket (gs://).

    Raises:
      ValueError: the file cannot be used; the message is one line with its path, the reason, and what to do.
    """
    try:
        return decode(read_bytes(path))
    except ValueError as error:
        raise ValueError(refusal(path, str(error))) from error


def refusal(path: str | os.PathLike, reason: str) -> str:
    """Returns one line that says why an image file cannot be used; names that are not UTF-8 are escaped."""
    name = os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    name = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)
    return f"{name} cannot be used ({reason}): replace it, or leave it out"


def read_bytes(path: str | os.PathLike) -> bytes:
    """Reads the bytes of a regular file of at most `MAX_BYTES`.

    Args:
      path: path of the file, on the disk or in a bucket (gs://).

    Raises:
      ValueError: "missing image", "unreadable image" (also folders, pipes and devices), or "image too large".
    """
    try:
        if "://" in os.fspath(path):
            content = _read_from_bucket(epath.Path(path))
        else:
            if not stat.S_ISREG(os.stat(path).st_mode):  # A pipe would be waited for, a device read without end.
                raise ValueError("unreadable image")
            with open(path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, tf.errors.NotFoundError) as error:
        raise ValueError("missing image") from error
    except (OSError, tf.errors.OpError) as error:
        raise ValueError("unreadable image") from error
    if len(content) > MAX_BYTES:
        raise ValueError("image too large")
    return content


def stays_within(name: str) -> bool:
    """Returns whether a file's name leads to a file within the folder that it is relative to.

    Lists of images come from strangers, and must not make a command read other files of the machine. Symbolic links
    are followed: they were made by someone who may write to the folder.
    """
    parts = name.replace("\\", "/").split("/")
    return bool(name) and "\0" not in name and not os.path.isabs(name) and ".." not in parts


def decode(content: bytes) -> ImageFile:
    """Decodes the bytes of an image file, by the rules at the top of this module.

    Raises:
      ValueError: the file cannot be used; the message is the reason, a few words, the same for all files of a kind.
    """
    if jpegs.is_jpeg(content):
        jpegs.check(content)
        pixels, turn = jpegs.decode(content).numpy(), _turn(_open_jpeg(content))
        return ImageFile(*_turned(pixels, turn))
    image = _open(content)
    try:
        return _decode_opened(content, image)
    except _Refusal:
        raise
    except MemoryError as error:
        raise ValueError("image too large") from error
    except Exception as error:  # Pillow's decoders raise errors of many types for damaged files.
        raise ValueError(f"damaged {image.format}") from error


def encoded_for_records(content: bytes) -> StoredImage:
    """Returns what a record stores for an image file: bytes that `images.decode_image` decodes to its pixels.

    JPEG and PNG files of which nothing has to be changed are stored byte for byte. Others are encoded again: as JPEG
    (quality 95, without subsampling) if they were JPEG or lossy WebP, otherwise as PNG, which loses nothing.

    Args:
      content: the bytes of the file.

    Raises:
      ValueError: see `decode`.
    """
    is_jpeg = jpegs.is_jpeg(content)
    if is_jpeg and _turn(_open_jpeg(content)) is None:
        jpegs.check(content)
        jpegs.decode(content, ratio=8)
        return StoredImage(content, ())
    image = decode(content)
    format_ = "JPEG" if is_jpeg else _open(content).format or ""
    if format_ == "PNG" and not image.changes:
        return StoredImage(content, ())
    is_lossy = is_jpeg or content[12:16] == b"VP8 "  # The chunk of a lossy WebP file.
    stored = io.BytesIO()
    Image.fromarray(image.rgb).save(stored, **(_JPEG_OPTIONS if is_lossy else _PNG_OPTIONS))
    kept = "JPEG" if is_lossy else "PNG"
    converted = [] if format_ == kept else [f"{format_} stored as {kept}"]
    return StoredImage(stored.getvalue(), (*image.changes, *converted))


class _Refusal(ValueError):
    """A reason why an image cannot be used."""


def _read_from_bucket(path: epath.Path) -> bytes:
    if path.stat().length > MAX_BYTES:
        raise ValueError("image too large")
    return path.read_bytes()


def _open(content: bytes) -> Image.Image:
    """Reads the header of an image file other than JPEG."""
    if not content:
        raise ValueError("empty image")
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError("image too large") from error
    except Exception as error:  # UnidentifiedImageError, and others: see `decode`.
        raise ValueError("unknown or damaged format") from error
    if image.width * image.height > MAX_PIXELS:
        raise ValueError("image too large")
    if not image.width * image.height:
        raise ValueError("image of 0 pixels")
    return image


def _open_jpeg(content: bytes) -> Image.Image | None:
    """Reads the header of a JPEG file; None if Pillow cannot, although TensorFlow may."""
    try:
        return Image.open(io.BytesIO(content), formats=("JPEG",))
    except Exception:  # See `decode`.
        return None


def _decode_opened(content: bytes, image: Image.Image) -> ImageFile:
    is_png = image.format == "PNG"
    is_opaque = not image.has_transparency_data
    if is_png and not is_opaque:
        image.load()  # Before its EXIF data: reading those loads the file too, and Pillow tells of damage only once.
    turn = _turn(image)
    if is_png:  # Also transparent ones, which Pillow decodes: records may store their bytes, see `encoded_for_records`.
        try:
            pixels = tf.io.decode_png(content, channels=3).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise _Refusal("damaged PNG") from error
    if is_png and is_opaque:
        changes = [_EIGHT_BITS] if content[_PNG_DEPTH] == 16 else []
    else:
        pixels, changes = _rgb(image)
    if image.format == "TIFF":  # Pillow has turned it.
        turned: tuple[str, ...] = () if turn is None else (_UPRIGHT,)
    else:
        pixels, turned = _turned(pixels, turn)
    return ImageFile(pixels, (*changes, *turned, *([_FIRST] if _has_several(image) else [])))


def _rgb(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """Decodes an opened image with Pillow; returns its pixels, [height, width, 3] uint8, and what was changed."""
    image.load()
    changes = [_PALETTE] if image.mode == "P" and image.format == "BMP" else []
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        levels = np.asarray(image).astype(np.int64)  # [height, width], 0 to 65,535
        key = image.info.get("transparency")
        image = Image.fromarray(np.where(levels == key, 255, levels >> 8).astype(np.uint8))
        changes += [_EIGHT_BITS, *([_OVER_WHITE] if (levels == key).any() else [])]
    if image.mode in ("I", "F"):
        raise _Refusal("levels of 32 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        if np.asarray(layer)[..., 3].min() < 255:
            changes.append(_OVER_WHITE)
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.array(image.convert("RGB")), changes


def _has_several(image: Image.Image) -> bool:
    """Returns whether a file has further frames that could be meant; those of a PNG file are an extension."""
    with contextlib.suppress(Exception):  # The first frame has been decoded; the others may be damaged.
        return image.format != "PNG" and getattr(image, "is_animated", False)
    return True


def _turn(image: Image.Image | None) -> Image.Transpose | None:
    """Returns how to turn an image upright; None if nothing has to be done, or its EXIF data cannot be read."""
    try:
        orientation: Any = image.getexif().get(ExifTags.Base.Orientation) if image else None
        return _TURNS.get(orientation)
    except Exception:  # EXIF data come in many broken forms.
        return None


def _turned(pixels: np.ndarray, turn: Image.Transpose | None) -> tuple[np.ndarray, tuple[str, ...]]:
    if turn is None:
        return pixels, ()
    return np.array(Image.fromarray(pixels).transpose(turn)), (_UPRIGHT,)
