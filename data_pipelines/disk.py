"""Looks whether there is room on a disk before it is filled."""

from __future__ import annotations

import pathlib
import shutil


def check_room(folder: pathlib.Path, needed: float, purpose: str) -> None:
    """Refuses to begin what cannot end.

    Args:
      folder: to be written to; need not exist yet.
      needed: bytes.
      purpose: what for, in words that follow "needed to".

    Raises:
      OSError: fewer bytes are free, with both numbers.
    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed to {purpose}: "
            "free some space there, or name a folder on another disk"
        )
