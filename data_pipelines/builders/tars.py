"""Reads images out of tar archives, in the order in which they lie there: compressed ones know no other."""

from __future__ import annotations

import functools
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import tensorflow as tf
from etils import epath

from data_pipelines.builders import pictures

T = TypeVar("T")


def read_images(archive: str, wanted: Mapping[str, T]) -> Iterator[tuple[T, Callable[[], bytes]]]:
    """Goes once through an archive.

    Args:
      archive: path of a tar file, compressed or not.
      wanted: what to give for the file names that matter, whatever their folder in the archive.

    Yields:
      Everything wanted, once, with a function that checks the image and returns its bytes, or raises ValueError with
      the reason why it is unfit.
    """
    wanted = dict(wanted)
    lack = "missing picture"
    try:
        with epath.Path(archive).open("rb") as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if member.isfile() and name in wanted:
                    if member.size > pictures.MAX_BYTES:
                        yield wanted.pop(name), functools.partial(_refuse, "picture too large")
                        continue
                    data = tar.extractfile(member).read()  # Fails if the archive is cut off: still wanted then.
                    yield wanted.pop(name), functools.partial(_checked, data)
    except (tarfile.TarError, EOFError, OSError, zlib.error, tf.errors.OpError):
        lack = "archive cut off or broken"
    for each in wanted.values():
        yield each, functools.partial(_refuse, lack)


def _checked(data: bytes) -> bytes:
    pictures.check_jpeg(data)
    return data


def _refuse(reason: str) -> bytes:
    raise ValueError(reason)
