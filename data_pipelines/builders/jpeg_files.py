"""Reads JPEG files, from folders and from tar archives, and says whether they are fit to train on."""

from __future__ import annotations

import functools
import os
import re
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import simplejpeg
import tensorflow as tf
from etils import epath

T = TypeVar("T")

MAX_PIXELS = 100_000_000  # 300 MB as RGB; to check a progressive image takes up to 600 MB, of coefficients.
MAX_BYTES = 500_000_000  # More than any image of MAX_PIXELS takes.

_START = b"\xff\xd8"
_MARKER = re.compile(rb"\xff([^\x00\xff])")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; DHT, JPG and DAC lie between them.
_SCAN, _END = 0xDA, 0xD9
_BARE = frozenset([0x01, *range(0xD0, 0xD8)])  # TEM and RST0 to RST7: no length follows them.

# Some cameras pad the data before a restart marker or the end marker by a few bytes, which is no damage. Damage mostly
# leaves more bytes over; forgiving so few lets through up to 6 % more of the photographs damaged for a trial.
_MAX_PADDING = 8
_PADDED = re.compile(r"(\d+) extraneous bytes before marker 0xd[0-9]$")


def read_jpeg(path: str | os.PathLike) -> bytes:
    """Reads a JPEG file and proves that it is fit, as `check_jpeg` does.

    Args:
      path: of the file, on the disk or in a bucket (gs://).

    Returns:
      The file, byte for byte.

    Raises:
      ValueError: "missing image", "unreadable image", or a reason of `check_jpeg`.
    """
    try:
        data = epath.Path(path).read_bytes()
    except (FileNotFoundError, tf.errors.NotFoundError) as error:
        raise ValueError("missing image") from error
    except (OSError, tf.errors.OpError) as error:
        raise ValueError("unreadable image") from error
    check_jpeg(data)
    return data


def check_jpeg(data: bytes) -> None:
    """Proves that a JPEG file can be decoded to its end, and as far as a decoder can tell, to what was meant.

    Two decoders must accept it: a strict one, which takes libjpeg's warnings for errors and so sees most of the damage
    that others paint over with gray, and TensorFlow's, which training uses. Both release the GIL, and read all the data
    but decode only an eighth of the width and height, with the same verdict in about two thirds of the time.

    JPEG data bear no checksum, so damage from which a decoder finds back into step goes unseen: most single flipped
    bits, but hardly a lost disk sector (of photographs with 512 bytes zeroed 93 % are told, 0 % by TensorFlow alone).

    Args:
      data: the bytes of the file.

    Raises:
      ValueError: the file is not fit; the message is the reason: "empty image", "not a JPEG", "truncated JPEG",
        "corrupt JPEG", "image of 0 pixels", or "image too large" (beyond `MAX_PIXELS`; nothing has been decoded).
    """
    if not data.startswith(_START):
        raise ValueError("not a JPEG" if data else "empty image")
    height, width = _size(data)
    if not height * width:
        raise ValueError("image of 0 pixels")
    if height * width > MAX_PIXELS:
        raise ValueError("image too large")
    _decode_strictly(data)
    try:
        tf.io.decode_jpeg(data, channels=3, ratio=8, try_recover_truncated=False)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError("corrupt JPEG") from error


def read_archive(archive: str, wanted: Mapping[str, T]) -> Iterator[tuple[T, Callable[[], bytes]]]:
    """Goes once through a tar archive, in the order in which the files lie there: compressed ones know no other.

    Args:
      archive: path of a tar file, compressed or not.
      wanted: what to give for the file names that matter, whatever their folder in the archive.

    Yields:
      Everything wanted, once, with a function that checks the image and returns its bytes, or raises ValueError with
      the reason why it is unfit.
    """
    wanted = dict(wanted)
    lack = "missing image"
    try:
        with epath.Path(archive).open("rb") as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if member.isfile() and name in wanted:
                    if member.size > MAX_BYTES:
                        yield wanted.pop(name), functools.partial(_refuse, "image too large")
                        continue
                    content = tar.extractfile(member)
                    assert content is not None  # As of every member that is a file.
                    data = content.read()  # Fails if the archive is cut off: still wanted then.
                    yield wanted.pop(name), functools.partial(_checked, data)
    except (tarfile.TarError, EOFError, OSError, zlib.error, tf.errors.OpError):
        lack = "archive cut off or broken"
    for each in wanted.values():
        yield each, functools.partial(_refuse, lack)


def _size(data: bytes) -> tuple[int, int]:
    """Height and width as the header says them; the header of a thumbnail lies within a segment, which is skipped."""
    position = len(_START)
    while marker := _MARKER.search(data, position):
        code, position = marker[1][0], marker.end()
        if code in (_SCAN, _END):
            raise ValueError("corrupt JPEG")  # A scan of no frame.
        if code in _FRAMES and position + 7 <= len(data):
            return struct.unpack_from(">HH", data, position + 3)  # After the length and the bits per sample.
        if code not in _BARE:
            position += int.from_bytes(data[position : position + 2], "big")
    raise ValueError("truncated JPEG")


def _decode_strictly(data: bytes) -> None:
    try:
        # The smallest of libjpeg's scales at which no side falls below 1 pixel, which is 1/8.
        simplejpeg.decode_jpeg(data, "gray", min_height=1, min_width=1, strict=True)
    except ValueError as error:
        message = str(error)
        if "subsampling" in message:
            return  # A sampling unknown to it (CMYK with halved chroma) or a broken header: TensorFlow alone must tell.
        padded = _PADDED.search(message)
        if padded and int(padded[1]) <= _MAX_PADDING:
            return
        raise ValueError("truncated JPEG" if "Premature end of JPEG file" in message else "corrupt JPEG") from error


def _checked(data: bytes) -> bytes:
    check_jpeg(data)
    return data


def _refuse(reason: str) -> bytes:
    raise ValueError(reason)
