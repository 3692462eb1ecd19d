"""Tests the benchmark of the start of a training."""

import pathlib

import pytest

from tests.support.command_modules import load

startup = load("experiments.benchmarks.startup")
ROOT = str(pathlib.Path(__file__).parents[3])
TRAIN = ["-X", "importtime", "-m", "xmcgan.train", "--dataset=scenes"]


@pytest.mark.slow
def test_every_part_of_a_start_is_timed(scenes_dir, tmp_path):
    arguments = [f"--data_dir={scenes_dir}", f"--workdir={tmp_path / 'run'}", "--config.generator.channels=1"]
    settings = [f"--config.training.{name}={value}" for name, value in startup.TRAINING.items()]
    parts = startup.time_start([*TRAIN, *arguments, *settings], ROOT)
    assert tuple(parts) == startup.PARTS
    assert all(part.wall > 0 for part in parts.values())
    assert startup.time_import(ROOT).wall < sum(part.wall for part in parts.values())


def test_a_run_that_ends_by_itself_is_reported(tmp_path):
    with pytest.raises(RuntimeError, match=r"before its first step: error: .*config\.training\.seed=x"):
        startup.time_start([*TRAIN, f"--workdir={tmp_path}", "--config.training.seed=x"], ROOT)
