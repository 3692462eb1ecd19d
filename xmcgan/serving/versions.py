"""Folders of numbered versions, as TensorFlow Serving reads them: NAME/1, NAME/2, ..."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import NamedTuple

from xmcgan.locks import FILE as LOCK
from xmcgan.locks import locked

_TEMPORARY = "incomplete"
# What the folder may contain beside versions; `eval` has results of eval.evaluate.
_OWN = (_TEMPORARY, "eval", LOCK)


class Draft(NamedTuple):
    """A version that is being written."""

    folder: str  # The temporary folder to write to.
    number: int  # The version's number.
    path: str  # The version's final path.


@contextlib.contextmanager
def new_version(folder: str) -> Iterator[Draft]:
    """Makes the next version: the draft's folder gets the version's number when it is complete.

    Other processes that make a version in the same folder wait. A draft that fails, or that a killed process left, is
    removed.

    Args:
      folder: of all versions; made if it does not exist.

    Yields:
      The draft.

    Raises:
      ValueError: `folder` holds something other than versions.
    """
    if os.path.isdir(folder):
        strangers = [name for name in os.listdir(folder) if not (_is_version(name) or name in _OWN)]
        if strangers:
            raise ValueError(
                f"{folder} holds '{sorted(strangers)[0]}', which is not a version of a model: give a separate folder"
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
    """Returns the folder of a model: `path` itself, or the newest version in it.

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
