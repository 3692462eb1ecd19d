"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from etils import epath


@contextlib.contextmanager
def locked(folder: str | os.PathLike) -> Iterator[epath.Path]:
    """Makes a folder, and holds it against other processes that ask for it here; they wait.

    The lock of a killed process is free at once. A bucket knows no locks: there the folder is not held.

    Args:
      folder: to hold.

    Yields:
      The folder.
    """
    folder = epath.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if "://" in os.fspath(folder):
        yield folder
        return
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
