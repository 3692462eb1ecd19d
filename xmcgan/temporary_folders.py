"""Temporary folders that belong to one process, and are removed by others once that process has ended.

A folder `NAME.RANDOM` is alive as long as a process holds the lock of the file `NAME.RANDOM.lock` beside it, in
whichever container, or on whichever machine, that process runs. See `locks`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator

from xmcgan import locks

_LOCK = ".lock"


@contextlib.contextmanager
def temporary_folder(parent: str | os.PathLike, name: str, mode: int = 0o777) -> Iterator[str]:
    """Makes an empty folder, which is removed at the end; folders of the same name that killed processes left go too.

    Args:
      parent: the folder to make it in.
      name: the beginning of its name.
      mode: permissions of the folder, before the umask.

    Yields:
      The path of the folder. The body may move the folder elsewhere.
    """
    remove_abandoned(parent, name)
    path = os.path.join(parent, f"{name}.{secrets.token_hex(4)}")
    with locks.lock(path + _LOCK):
        try:
            os.mkdir(path, mode)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(parent: str | os.PathLike, name: str) -> str | None:
    """Removes this user's temporary folders whose processes have ended.

    Args:
      parent: the folder that contains them.
      name: see `temporary_folder`.

    Returns:
      Who holds one that is still in use, see `locks.holder_of`; None if there is none.
    """
    pattern = re.compile(rf"({re.escape(name)}\.[0-9a-f]{{8}})(?:{re.escape(_LOCK)})?")
    found = {match[1] for match in map(pattern.fullmatch, os.listdir(parent)) if match}
    holder = None
    for path in (os.path.join(parent, each) for each in found):
        if not _is_own(path):
            continue
        with contextlib.suppress(OSError), locks.abandoned(path + _LOCK) as is_abandoned:
            if is_abandoned:
                shutil.rmtree(path, ignore_errors=True)
            else:
                holder = locks.holder_of(path + _LOCK)
    return holder


def _is_own(path: str) -> bool:
    """Tells whether the folder and its lock, as far as they exist, belong to this user."""
    for each in (path, path + _LOCK):
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(each).st_uid != os.getuid():
                return False
    return True
