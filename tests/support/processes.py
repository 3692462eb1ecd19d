"""Other processes of Python: clusters, what is fixed when TensorFlow starts, and commands as users type them."""

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
      *arguments: of Python.
      environment: variables of the process.

    Returns:
      The process; what it prints can be read as text.
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
    """Waits for the end of a process, which must be a good one; returns what it printed and logged."""
    output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors
    return output + errors


def run_python(*arguments: object) -> str:
    """Runs Python as `start_python` does, without GPUs, to its end; see `finish`."""
    return finish(start_python(*arguments, environment={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}))
