"""Tests the benchmark of BERT's share of an iteration; the measured times do not matter."""

from __future__ import annotations

import json

import pytest

from data_pipelines.datasets import preset
from tests.support.command_modules import load

text_share = load("experiments.benchmarks.text_share")


def test_shares_are_medians_over_the_rounds():
    config = preset("coco2014")
    config.training.batch_size = 4
    seconds = {"on_the_fly": [10.0, 8.0, 20.0], "stored": [5.0, 6.0, 19.0], "bert": [2.0, 2.0, 1.0]}
    table = text_share.table(config, "CPU, 2 cores", 3, seconds)
    assert "256 px, ch 96 and 96, batch 4, 3 batches per iteration" in table
    assert "10.000 s   (8.000 to 20.000 in 3 rounds)" in table
    # 12 captions in 2 s; shares of 20, 25 and 5 %, and of 50, 75 and 95 %.
    assert "BERT's 12 captions (6 per second): 20.0% (5.0% to 25.0%) of an iteration" in table
    assert "an iteration on stored features takes 75.0% (50.0% to 95.0%) of one with BERT" in table


@pytest.mark.slow
def test_times_all_three(command, tmp_path):
    small = {"data.image_size": 64, "training.batch_size": 2, "generator.channels": 1, "discriminator.channels": 1}
    arguments = [f"--config.{field}={value}" for field, value in small.items()]
    arguments += ["--rounds=2", "--iterations=1", f"--scratch={tmp_path}", f"--output={tmp_path / 'share.json'}"]
    process = command("experiments.benchmarks.text_share", "--dataset=scenes", *arguments)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert "an iteration on stored features takes" in output
    measured = json.loads((tmp_path / "share.json").read_text())
    assert {name: len(rounds) for name, rounds in measured["seconds"].items()} == {
        "on_the_fly": 2,
        "stored": 2,
        "bert": 2,
    }
    # Beside networks as small as these, nearly all of an iteration is a BERT of the published size.
    assert max(measured["seconds"]["stored"]) < min(measured["seconds"]["on_the_fly"])
    assert [path.name for path in tmp_path.iterdir()] == ["share.json"]
