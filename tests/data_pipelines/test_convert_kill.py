"""Conversions that are killed, and that meet each other: each a process of its own."""

from __future__ import annotations

import fcntl
import os
import pathlib

import pytest

from data_pipelines.scenes import layouts
from tests.support.command_modules import load

conversion_kills = load("experiments.benchmarks.conversion_kills")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> pathlib.Path:
    source = tmp_path_factory.mktemp("killed") / "source"
    layouts.write_ln_coco(source, num_train=100, num_val=12, seed=3, image_size=64)
    return source


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> tuple[dict[str, str], float]:
    """SHA-256 of what an undisturbed run writes, and the seconds that it works."""
    conversion = conversion_kills.Conversion("ln_coco", source, tmp_path_factory.mktemp("undisturbed"), on_disk=True)
    seconds = conversion.finish()
    return conversion.digests(), seconds


@pytest.mark.slow  # Four conversions, one after another.
def test_three_kills_leave_no_trace(source, undisturbed, tmp_path):
    expected, seconds = undisturbed
    conversion = conversion_kills.Conversion("ln_coco", source, tmp_path, on_disk=True)
    kills = conversion_kills.kill_repeatedly(conversion, kills=3, seconds=seconds, seed=2)
    assert not (conversion.folder / "2.0.0").exists()
    conversion.finish()
    assert conversion.digests() == expected
    assert {"2.0.0/skipped.jsonl", "2.0.0/train.index.npy", "2.0.0/dataset_info.json"} < set(expected)
    assert len(conversion_kills.table(kills).splitlines()) == 4
    assert not list(conversion.folder.glob("*incomplete*"))


def test_a_second_process_waits_and_finds_the_work_done(source, undisturbed, command, tmp_path):
    flags = ("--dataset=ln_coco", f"--source={source}", f"--data_dir={tmp_path}")
    lock = tmp_path / "ln_coco" / ".lock"
    lock.parent.mkdir()
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        processes = [command("data_pipelines.convert", *flags) for _ in range(2)]
        for process in processes:
            assert "waiting for another process, which holds" in process.stderr.readline()
        assert os.listdir(tmp_path / "ln_coco") == [".lock"]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    beginnings = sorted(output.partition(":")[0] for output in outputs)
    assert beginnings == ["converted", "nothing to do, already converted"]
    conversion = conversion_kills.Conversion("ln_coco", source, tmp_path)
    assert conversion.digests() == undisturbed[0]  # Sorted in memory here, on the disk there.
