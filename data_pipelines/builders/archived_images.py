"""Reads the images of a conversion from tar archives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from data_pipelines import image_files
from data_pipelines.builders import tar_files
from data_pipelines.image_files import StoredImage

T = TypeVar("T")


def read_archive(archive: str, wanted: Mapping[str, T]) -> Iterator[tuple[T, Callable[[], StoredImage]]]:
    """Reads images from a tar archive in one pass, because a compressed archive can only be read in order.

    Args:
      archive: path of a tar file, compressed or not.
      wanted: maps the name of each file to read, with or without its folders in the archive, to the value to yield for
        it.

    Yields:
      Each value of `wanted` once, with a function that returns the image for a record, or raises ValueError with the
      reason why the image cannot be used.
    """
    wanted = dict(wanted)
    reason_missing = "missing image"
    try:
        for name, data in tar_files.read(archive, wanted, image_files.MAX_BYTES):
            read = (
                functools.partial(_refuse, "image too large")
                if data is None
                else functools.partial(image_files.encoded_for_records, data)
            )
            yield wanted.pop(name), read
    except ValueError as error:
        reason_missing = str(error)
    for each in wanted.values():
        yield each, functools.partial(_refuse, reason_missing)


def _refuse(reason: str) -> StoredImage:
    raise ValueError(reason)
