"""Locks between processes: one waits for the other, and a killed one leaves nothing behind."""

from __future__ import annotations

import pathlib
import subprocess
import sys

from data_pipelines.locking import locked

ROOT = pathlib.Path(__file__).parents[2]
HOLD = """
import sys
from data_pipelines.locking import locked
with locked(sys.argv[1]) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


def _holder(folder):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_one_process_at_a_time(tmp_path):
    folder = tmp_path / "new" / "folder"
    first = _holder(folder)
    assert first.stdout.readline().strip() == str(folder)
    second = _holder(folder)
    try:
        second.wait(timeout=3)
        raise AssertionError("the second process did not wait")
    except subprocess.TimeoutExpired:
        pass
    first.kill()
    assert second.stdout.readline().strip() == str(folder)
    second.communicate("")
    with locked(folder) as held:
        assert pathlib.Path(held) == folder
    first.communicate()
