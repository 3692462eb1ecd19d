"""Folders that are made once for all processes of a run of the tests."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import Callable

import pytest

from xmcgan import files


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """Has the first process that needs a folder make it, while others that need it wait. No test may change it.

    Args:
      factory: of temporary folders.
      name: of the folder.
      make: is given the folder's path, where nothing is yet.

    Returns:
      The folder.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    path, made = root / name, root / f"{name}.made"
    with files.locked(root / f"{name}.lock"):
        if not made.exists():
            shutil.rmtree(path, ignore_errors=True)  # What a process left that failed.
            make(path)
            made.touch()
    return path
