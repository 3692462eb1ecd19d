"""Temporary folders of processes: each its own, and removed once its process has ended."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.processes import ROOT
from xmcgan.temporary_folders import remove_abandoned, temporary_folder

KILLED = """
import os, signal, sys
from xmcgan.temporary_folders import temporary_folder
with temporary_folder(sys.argv[1], "held") as folder:
    open(os.path.join(folder, "file"), "w").close()
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_each_has_its_own(tmp_path):
    with temporary_folder(tmp_path, "held") as one, temporary_folder(tmp_path, "held", mode=0o700) as other:
        assert one != other and not os.listdir(one)
        assert os.stat(other).st_mode & 0o777 == 0o700
    assert not os.listdir(tmp_path)


def test_those_of_killed_processes_go(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    left = killed.stdout.strip()
    assert os.listdir(left) == ["file"]
    with temporary_folder(tmp_path, "held") as alive:
        assert sorted(os.listdir(tmp_path)) == [os.path.basename(alive), f"{os.path.basename(alive)}.lock"]
        assert remove_abandoned(tmp_path, "held").startswith(f"process {os.getpid()} on ")
        assert os.path.isdir(alive)
    assert remove_abandoned(tmp_path, "held") is None


@pytest.mark.parametrize("name", ["held", "held.", "held.1.txt", "held.1", "holds.01234567", "x.held.01234567"])
def test_strange_names_stay(name, tmp_path):
    (tmp_path / name).mkdir()
    with temporary_folder(tmp_path, "held"):
        pass
    assert os.listdir(tmp_path) == [name]


def test_the_folders_of_other_users_stay(tmp_path, monkeypatch):
    (tmp_path / "held.01234567").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert remove_abandoned(tmp_path, "held") is None
    assert os.listdir(tmp_path) == ["held.01234567"]
