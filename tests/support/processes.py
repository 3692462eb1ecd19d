"""Starts Python processes: for clusters, for settings that are fixed when TensorFlow starts, and for commands."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).parents[2]


def start_python(*arguments: object, environment: Mapping[str, str] = os.environ) -> subprocess.Popen:
    """Starts Python in the root of the repository, where `-m` and `-c` find its packages.

    Args:
      *arguments: arguments of Python.
      environment: environment variables of the process.

    Returns:
      The process, with output and errors as text pipes.
    """
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen, timeout: float = 600.0) -> str:
    """Waits until a process ends, which must succeed; returns its output and errors."""
    output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors
    return output + errors
