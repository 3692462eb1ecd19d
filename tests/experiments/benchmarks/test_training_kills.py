"""Tests the benchmark of killed training runs, with few kills."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_the_command(command, tmp_path):
    process = command("experiments.benchmarks.training_kills", "--kills=4", f"--scratch={tmp_path}")
    printed, errors = process.communicate(timeout=900)
    assert process.returncode == 0, printed + errors
    lines = printed.splitlines()
    assert lines[-1] == "after 4 kills every number is that of an undisturbed run, bit for bit"
    assert lines[-2].endswith("tensors: none different")
    rows = [line.split() for line in lines if line.strip()[:1] in "1234" and "SIG" in line]
    assert [row[1] for row in rows] == ["SIGKILL", "SIGTERM", "SIGKILL", "SIGTERM"]
    assert list(tmp_path.iterdir()) == []


def test_too_few_steps_are_refused(command, tmp_path):
    process = command("experiments.benchmarks.training_kills", "--kills=4", "--num_steps=100", f"--scratch={tmp_path}")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "error: --num_steps=100 may end before 4 kills: give 250 or more"
