"""Locks between processes, also those of several containers and machines that share a disk; each names its holder.

The locks are the kernel's (`flock`): they do not depend on process numbers, and a killed process never leaves one
behind. They hold between containers, and between machines where the shared disk passes locks on, as NFS does unless it
is mounted with `nolock` or `local_lock`. Where a disk has no locks, a warning says so.

The file of a lock contains a line about its holder, for messages only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator

from absl import logging
from etils import epath

FILE = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_QUIET, _SECONDS_BETWEEN_LINES = 1.0, 60.0  # Seconds before the first line about a wait, and between later ones.
_LONGEST_PAUSE = 0.5  # Seconds between two tries.
_SHORT = 0.3  # Seconds that a lock is waited for even if `wait` is false: others may only be checking it.
_LONGEST_NOTE = 500  # Bytes about the holder.


class InUseError(OSError):
    """Another process holds the lock; the message is one line that names it."""


@contextlib.contextmanager
def locked(folder: str | os.PathLike, *, wait: bool = True) -> Iterator[epath.Path]:
    """Makes a folder if it is missing, and locks it; other processes that call this function wait, and say for whom.

    A folder that it made is removed if it is still empty at the end, as after an error.

    A bucket has no locks: there the folder is not locked.

    Args:
      folder: to lock.
      wait: see `lock`.

    Yields:
      The folder.
    """
    held = epath.Path(folder)
    is_new = not held.exists()
    held.mkdir(parents=True, exist_ok=True)
    if "://" in os.fspath(held):
        yield held
        return
    try:
        with lock(os.path.join(held, FILE), wait=wait):
            yield held
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # It is not empty, as a rule.
                os.rmdir(held)


@contextlib.contextmanager
def lock(path: str, *, wait: bool = True) -> Iterator[int]:
    """Holds the lock of a file, which is made if it is missing, and removed at the end.

    Args:
      path: of the file; its folder must exist.
      wait: whether to wait for another process that holds the lock; from time to time a line says for which one.

    Yields:
      The file's descriptor. A child process that inherits it keeps the lock if this process is killed.

    Raises:
      InUseError: another process holds the lock, and `wait` is false.
      OSError: the folder cannot be written to.
    """
    began, told = time.monotonic(), -_SECONDS_BETWEEN_LINES
    pause = 0.02
    descriptor = _try(path)
    while descriptor is None:
        holder, waited = holder_of(path), time.monotonic() - began
        where = os.path.dirname(path) if os.path.basename(path).startswith(".") else path
        if not wait and waited > _SHORT:
            raise InUseError(f"{where} is in use by {holder}")
        if waited >= _QUIET and waited - told >= _SECONDS_BETWEEN_LINES:
            logging.warning("waiting for %s, which holds %s", holder, where)
            told = waited
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)
        descriptor = _try(path)
    try:
        _describe_holder(path, descriptor)
        yield descriptor
    finally:
        with contextlib.suppress(OSError):  # On a full disk, or a disk that has vanished.
            os.unlink(path)  # While it is locked, so that nobody else has it.
        os.close(descriptor)


def check_free(path: str) -> None:
    """Checks that no process holds the lock of a file, which need not exist.

    Raises:
      InUseError: a process holds it.
    """
    if os.path.exists(path):
        with lock(path, wait=False):
            pass


@contextlib.contextmanager
def abandoned(path: str) -> Iterator[bool]:
    """Holds the lock of a file if no process holds it, and removes the file at the end.

    Yields:
      Whether the lock is held now.

    Raises:
      OSError: the disk has no locks, so nobody can tell; or it cannot be written to.
    """
    descriptor = _try(path, required=True)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)
            os.close(descriptor)


def holder_of(path: str) -> str:
    """Returns who holds the lock of a file, such as 'process 17 on node-3 (xmcgan.train), since 10:00:00'."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return "another process"
    try:
        note = os.read(descriptor, _LONGEST_NOTE).decode(errors="replace")
    finally:
        os.close(descriptor)
    return "".join(character for character in note if character.isprintable()).strip() or "another process"


def _try(path: str, required: bool = False) -> int | None:
    """Opens and locks a file; returns its descriptor, or None if another process holds the lock.

    On a disk without locks, the file is opened only, with a warning; if the lock is `required`, the error is raised.
    """
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The previous holder may have removed the file in the meantime, and then others lock the one that replaced it.
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        if error.errno in _NO_LOCKS and not required:
            logging.log_first_n(
                logging.WARNING,
                "the disk of %s has no locks (%s): take care that no two processes work there at the same time",
                1,
                os.path.dirname(path) or ".",
                error.strerror,
            )
            return descriptor
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _open(path: str) -> int:
    """Opens the file of a lock, and makes it if it is missing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:  # Another process has removed the empty folder, see `locked`.
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o666)


def _describe_holder(path: str, descriptor: int) -> None:
    """Writes who holds the lock into its file, for `holder_of`."""
    host = socket.gethostname()
    previous = holder_of(path)
    if " on " in previous and f" on {host} (" not in previous:
        logging.warning(
            "%s: %s, has not released it. If that process still runs, this disk does not pass locks on "
            "between machines: end one of the two processes",
            path,
            previous,
        )
    main = sys.modules["__main__"]
    command = getattr(getattr(main, "__spec__", None), "name", None) or os.path.basename(sys.argv[0]) or "python"
    note = f"process {os.getpid()} on {host} ({command}), since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
    with contextlib.suppress(OSError):  # The lock holds without it, also on a full disk.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note.encode(), 0)
