"""Tests of dividing the machine among several runs at once."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from experiments.ablation import device_shares
from experiments.ablation.device_shares import shares_of_machine


@pytest.fixture
def machine(monkeypatch):
    """Sets the cores and GPUs of the machine."""

    def set_up(cores, gpus):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)

    return set_up


@pytest.mark.parametrize("parallel", [1, 2, 3, 8])
def test_all_cores_are_used(parallel, machine):
    machine(8, "")
    shares = shares_of_machine(parallel)
    assert [core for share in shares for core in sorted(share.cores)] == list(range(8))
    sizes = [len(share.cores) for share in shares]
    assert len(shares) == parallel and max(sizes) - min(sizes) <= 1
    assert all(share.environment == {} for share in shares)


def test_runs_share_cores_and_gpus_if_there_are_too_few(machine):
    machine(2, "GPU-a,GPU-b")
    shares = shares_of_machine(3)
    assert [share.cores for share in shares] == [{0, 1}] * 3
    assert [share.environment["CUDA_VISIBLE_DEVICES"] for share in shares] == ["GPU-a", "GPU-b", "GPU-a"]
    assert all(share.environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for share in shares)


def test_gpus_are_divided(machine):
    machine(16, "0,1,2,3,4")
    environments = [share.environment for share in shares_of_machine(2)]
    assert environments == [
        {"CUDA_VISIBLE_DEVICES": "0,1"},
        {"CUDA_VISIBLE_DEVICES": "2,3"},
    ]  # The same number for each.
    machine(16, "0,1,2")
    assert shares_of_machine(1, batch_size=256)[0].environment == {
        "CUDA_VISIBLE_DEVICES": "0,1"
    }  # 256 cannot be divided by 3.
    machine(16, "-1")  # How GPUs are hidden from TensorFlow.
    assert device_shares.visible_gpus() == []


def test_gpus_are_queried(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device_shares.visible_gpus() == []
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho GPU-1\necho GPU-2\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert device_shares.visible_gpus() == ["GPU-1", "GPU-2"]
    program.write_text("#!/bin/sh\necho No devices were found\nexit 6\n")
    assert device_shares.visible_gpus() == []


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to cores")
def test_a_process_keeps_to_its_cores():
    (share,) = shares_of_machine(1)
    core = min(share.cores)
    look = "import os, sys; sys.stdin.readline(); print(sorted(os.sched_getaffinity(0)))"
    process = subprocess.Popen([sys.executable, "-c", look], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    share._replace(cores=frozenset({core})).bind(process.pid)
    output, _ = process.communicate("\n", timeout=60)
    assert output.strip() == f"[{core}]"
    share.bind(process.pid)  # No error, although the process has ended.
