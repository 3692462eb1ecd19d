"""Files and folders that appear only when they are complete; free space on the disk."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator
from typing import IO, Any

from etils import epath

from xmcgan import temporary_folders

# Numbers of the errors that say that a place cannot be written to.
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
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
      A path in the same folder, to write to. It is unique, so that two processes that write the same file do not
      interfere, on whichever machines they run.
    """
    target = epath.Path(path)
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(4)}{_INCOMPLETE}")
    try:
        with named_errors(target):
            yield temporary
            if not _is_in_bucket(temporary):
                sync(temporary)  # Otherwise, after a power failure, the name might be on the disk without the content.
            temporary.replace(target)
    except BaseException:
        with contextlib.suppress(Exception):  # The first error is the one to report.
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def named_errors(path: str | os.PathLike) -> Iterator[None]:
    """Adds a path to errors of the system that name none: those of writing to an open file, such as on a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


def remove_temporary(folder: str | os.PathLike) -> None:
    """Removes the temporary files of killed processes from a folder that no other process writes to."""
    for left in matching(folder, f"*{_INCOMPLETE}"):
        if not left.is_dir():
            left.unlink()


def matching(folder: str | os.PathLike, pattern: str) -> list[epath.Path]:
    """Returns the paths in a folder whose names match a pattern, sorted; an empty list if there is no such folder.

    `epath.Path.glob` would also take brackets in the path of the folder for a pattern.
    """
    parent = epath.Path(folder)
    paths = parent.iterdir() if parent.is_dir() else ()
    return sorted(path for path in paths if fnmatch.fnmatchcase(path.name, pattern))


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
      An empty temporary folder beside it, to write into. What killed processes left there has been removed.

    Raises:
      FileExistsError: `path` is a file, or a folder that is not empty, or another process is writing it.
      OSError: the folder above it cannot be written to.
    """
    path = pathlib.Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not empty: name another folder, or remove it first")
    check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name + _INCOMPLETE
    writer = temporary_folders.remove_abandoned(path.parent, name)
    if writer:
        raise FileExistsError(f"{writer}, is writing {path}: wait until it has finished, or name another folder")
    with named_errors(path), temporary_folders.temporary_folder(path.parent, name) as temporary:
        yield pathlib.Path(temporary)
        os.replace(temporary, path)


def check_writable(folder: str | os.PathLike) -> None:
    """Checks before work begins that a folder can be written to, or made; nothing is made, and buckets are not checked.

    Args:
      folder: need not exist yet.

    Raises:
      OSError: it, or a folder above it, is a file or may not be written to; the message is one line.
    """
    if _is_in_bucket(folder):
        return
    path = pathlib.Path(folder).absolute()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path)  # Other errors are about the name itself, such as that it is too long.
    existing = _nearest(path)
    if not existing.is_dir():
        kind = "a link that leads nowhere" if existing.is_symlink() else "a file"
        where = "" if existing == path else f", so there can be no folder {path}"
        raise NotADirectoryError(f"{existing} is {kind}{where}: name another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{existing} cannot be written to: name another folder")


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
    free = shutil.disk_usage(_nearest(pathlib.Path(folder).absolute())).free
    if needed > free:
        raise OSError(
            f"{os.fspath(folder)} has {_size(free)} free, and {_size(needed)} are needed to {purpose}: "
            "free some space there, or name a folder on another disk"
        )


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.2f} MB"


def _nearest(path: pathlib.Path) -> pathlib.Path:
    """Returns an absolute path, or else the first one above it that exists."""
    return next(each for each in (path, *path.parents) if os.path.lexists(each))


def _is_in_bucket(path: str | os.PathLike) -> bool:
    return "://" in os.fspath(path)
