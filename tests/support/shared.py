"""Folders that are made once for all test processes."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import Callable

import pytest

from xmcgan import locks


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Makes a folder in the first process that needs it, while the others wait. No test may change the folder.

    Args:
      factory: pytest's factory of temporary folders.
      name: name of the folder.
      make: makes the folder at the given path, which does not exist yet.

    Returns:
      The folder.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    path, made = root / name, root / f"{name}.made"
    with locks.locked(root / f"{name}.lock"):
        if not made.exists():
            shutil.rmtree(path, ignore_errors=True)  # Left by a process that failed.
            make(path)
            made.touch()
    return path
