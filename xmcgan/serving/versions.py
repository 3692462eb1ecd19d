"""Folders of numbered versions, as TensorFlow Serving reads them: NAME/1, NAME/2, ..."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import NamedTuple

from xmcgan.files import locked

_TEMPORARY = "incomplete"


class Draft(NamedTuple):
    """A version in the making."""

    folder: str  # To write to.
    number: int  # What it will be called.
    path: str  # Where it will be.


@contextlib.contextmanager
def new_version(folder: str) -> Iterator[Draft]:
    """Makes the next version: what is written to the draft appears under its number when all of it is there.

    Another process that makes one there waits. What a killed one left is removed, as is a draft that fails.

    Args:
      folder: of all versions; made if there is none.

    Yields:
      The draft.

    Raises:
      ValueError: `folder` holds something else than versions.
    """
    if os.path.isdir(folder):
        strangers = [name for name in os.listdir(folder) if not (_is_version(name) or name in (_TEMPORARY, ".lock"))]
        if strangers:
            raise ValueError(
                f"{folder} holds '{sorted(strangers)[0]}', which is no version of a model: give a folder of its own"
            )
    with locked(folder):
        number = max(_versions(folder), default=0) + 1
        draft = Draft(os.path.join(folder, _TEMPORARY), number, os.path.join(folder, str(number)))
        shutil.rmtree(draft.folder, ignore_errors=True)
        try:
            yield draft
            os.rename(draft.folder, draft.path)
        finally:
            shutil.rmtree(draft.folder, ignore_errors=True)


def find_version(path: str) -> str:
    """The folder of a model: `path` itself, or its newest version.

    Raises:
      FileNotFoundError: there is no model.
    """
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        return path
    versions = _versions(path) if os.path.isdir(path) else []
    if not versions:
        raise FileNotFoundError(
            f"no exported model in {path}: write one with python -m xmcgan.export --workdir=... --output={path}"
        )
    return os.path.join(path, str(max(versions)))


def _versions(folder: str) -> list[int]:
    return [int(name) for name in os.listdir(folder) if _is_version(name)]


def _is_version(name: str) -> bool:
    return name.isdecimal()
