"""Tests the benchmark of an export at a small size; the measured times do not matter."""

from __future__ import annotations

import json

import pytest

_SMALL = ("--batch_sizes=1,2", "--rounds=1")


def test_says_what_is_missing(command):
    for arguments, message in (
        ([], "give what to serve: --workdir=RUN, or --dataset for a model with random weights"),
        (["--dataset=scenes", "--batch_sizes=1,x"], "--batch_sizes=1,x: give numbers of images such as 1,8,32"),
    ):
        process = command("experiments.benchmarks.serving", *arguments)
        _, errors = process.communicate(timeout=60)
        assert process.returncode != 0 and message in errors


@pytest.mark.slow
def test_a_run(command, drawing_run, scenes_dir, tmp_path):
    arguments = [f"--workdir={drawing_run}", f"--data_dir={scenes_dir}", "--calls=400", f"--scratch={tmp_path}"]
    process = command("experiments.benchmarks.serving", *arguments, *_SMALL, f"--output={tmp_path / 'served.json'}")
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert "memory in each quarter of 400 calls" in output
    measured = json.loads((tmp_path / "served.json").read_text())
    assert measured["title"] == "scenes: 64 px, ch 2"
    assert set(measured["rates"]) == {"1", "2"} and len(measured["memory"]) == 4
    first = measured["first_call"]
    assert first["none"]["warm_up"] < first["warm_up"]["warm_up"]  # Only one of them answers the requests.
    assert [path.name for path in tmp_path.iterdir()] == ["served.json"]


@pytest.mark.slow
def test_random_weights(command, tmp_path):
    config = ["--config.data.image_size=64", "--config.generator.channels=1", "--precision=float16"]
    process = command(
        "experiments.benchmarks.serving", "--dataset=coco2014", "--calls=0", *config, *_SMALL, f"--scratch={tmp_path}"
    )
    output, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    assert "coco2014: 64 px, ch 1, float16" in output and "memory" not in output
    assert not list(tmp_path.iterdir())
