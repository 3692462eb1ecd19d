"""Files and folders that appear only when they are complete; locks between processes; free space on the disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import IO, Any

from etils import epath

# Suffix of files and folders that are not complete yet.
_INCOMPLETE = ".incomplete"


@contextlib.contextmanager
def replaced(path: str | os.PathLike, mode: str = "w") -> Iterator[IO[Any]]:
    """Opens a temporary file that replaces the file at `path` once it is completely written.

    If the body raises, or the process is killed, the previous file is still there.

    Args:
      path: of the file, on a disk or in a bucket (gs://); its folder must exist.
      mode: "w" for text, which is UTF-8, or "wb" for bytes.

    Yields:
      The open file.
    """
    with temporary_path(path) as temporary, temporary.open(mode) as file:
        yield file


def write_text(path: str | os.PathLike, text: str) -> None:
    """Replaces the file at `path` with a text, see `replaced`."""
    with replaced(path) as file:
        file.write(text)


@contextlib.contextmanager
def temporary_path(path: str | os.PathLike) -> Iterator[epath.Path]:
    """Provides a path for writing a temporary file, which replaces the file at `path` at the end, see `replaced`.

    Args:
      path: of the file, on a disk or in a bucket (gs://); its folder must exist.

    Yields:
      A path in the same folder, to write to. It contains the process id, so that two processes that write the same file
      do not interfere.
    """
    target = epath.Path(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}{_INCOMPLETE}")
    try:
        yield temporary
        if not _is_in_bucket(temporary):
            sync(temporary)  # Otherwise, after a power failure, the name might be on the disk without the content.
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(Exception):  # The first error is the one to report.
            temporary.unlink(missing_ok=True)
        raise


def remove_temporary(folder: str | os.PathLike) -> None:
    """Removes the temporary files of killed processes from a folder that no other process writes to."""
    for left in epath.Path(folder).glob(f"*{_INCOMPLETE}"):
        left.unlink()


def sync(path: str | os.PathLike) -> None:
    """Flushes a file's content, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Makes a folder that appears only when its content is complete.

    Args:
      path: of the folder; it must not exist yet, or must be empty.

    Yields:
      An empty temporary folder beside it, to write into. What a killed process left there has been removed.

    Raises:
      FileExistsError: `path` is a file, or a folder that is not empty.
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
    """Makes a folder if it is missing, and locks it; other processes that call this function wait.

    The lock of a killed process is released at once. A bucket has no locks: there the folder is not locked.

    Args:
      folder: to lock.

    Yields:
      The folder.
    """
    held = epath.Path(folder)
    held.mkdir(parents=True, exist_ok=True)
    if _is_in_bucket(held):
        yield held
        return
    with open(held / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield held


def check_room(folder: str | os.PathLike, needed: float, purpose: str) -> None:
    """Checks before work begins that the disk has enough free space; buckets are not checked.

    Args:
      folder: to be written to; need not exist yet.
      needed: bytes.
      purpose: what the space is for; completes the words "needed to".

    Raises:
      OSError: too few bytes are free; the message gives both numbers.
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
