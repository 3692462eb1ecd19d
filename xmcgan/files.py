"""Files and folders that are there whole or not at all; one process at a time; room on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import IO, Any

from etils import epath

# Ends the names of what is not whole yet.
_INCOMPLETE = ".incomplete"


@contextlib.contextmanager
def replaced(path: str | os.PathLike, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a file whose content takes the place of what is at `path` when all of it is written.

    If the body raises, or the process is killed, what was there before is still there.

    Args:
      path: of the file, on a disk or in a bucket (gs://); its folder exists.
      mode: "w" for text, which is UTF-8, or "wb" for bytes.

    Yields:
      The open file.
    """
    with temporary_path(path) as temporary, temporary.open(mode) as file:
        yield file


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text in the place of what is at `path`, see `replaced`."""
    with replaced(path) as file:
        file.write(text)


@contextlib.contextmanager
def temporary_path(path: str | os.PathLike) -> Iterator[epath.Path]:
    """Lets others write a file that takes the place of what is at `path` at the end, see `replaced`.

    Args:
      path: of the file, on a disk or in a bucket (gs://); its folder exists.

    Yields:
      A path beside it, to write to. The process is in its name: two that write the same file do not mix.
    """
    path = epath.Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{_INCOMPLETE}")
    try:
        yield temporary
        if not _is_in_bucket(temporary):
            sync(temporary)  # A name must not be on the disk before its content, which a power cut would show.
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(Exception):  # What went wrong before is what counts.
            temporary.unlink(missing_ok=True)
        raise


def remove_temporary(folder: str | os.PathLike) -> None:
    """Removes what killed processes left of files in a folder that no other process writes to."""
    for left in epath.Path(folder).glob(f"*{_INCOMPLETE}"):
        left.unlink()


def sync(path: str | os.PathLike) -> None:
    """Has the disk take what was written to a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Makes a folder that appears when all of it is written.

    Args:
      path: of the folder; it must not exist yet, or be empty.

    Yields:
      An empty folder beside it, to write into. What a killed process left there is gone.

    Raises:
      FileExistsError: there is something at `path`.
    """
    path = pathlib.Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not empty: name another folder, or remove it first")
    temporary = path.with_name(path.name + _INCOMPLETE)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
    if _is_in_bucket(folder):
        yield folder
        return
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def check_room(folder: str | os.PathLike, needed: float, purpose: str) -> None:
    """Refuses to begin what cannot end for want of room on the disk. Of a bucket nothing is asked.

    Args:
      folder: to be written to; need not exist yet.
      needed: bytes.
      purpose: what for, in words that follow "needed to".

    Raises:
      OSError: fewer bytes are free, with both numbers.
    """
    if _is_in_bucket(folder):
        return
    absolute = pathlib.Path(folder).absolute()
    existing = next(parent for parent in (absolute, *absolute.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise OSError(
            f"{os.fspath(folder)} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed to {purpose}: "
            "free some space there, or name a folder on another disk"
        )


def _is_in_bucket(path: str | os.PathLike) -> bool:
    return "://" in os.fspath(path)
