"""Tests the benchmark of the input pipeline on a few images; the measured rates do not matter."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from experiments.benchmarks import photographs
from tests.support.command_modules import load

input_pipeline = load("experiments.benchmarks.input_pipeline")


def test_drawn_images_are_as_large_as_photographs():
    images = photographs.draw(2)
    assert len(set(images)) == 2 and images == photographs.draw(2)
    for jpeg in images:
        assert Image.open(io.BytesIO(jpeg)).size == (640, 480)
        assert 100_000 < len(jpeg) < 200_000


@pytest.mark.slow
def test_the_command(command, tmp_path):
    source = tmp_path / "photographs"
    (source / "more").mkdir(parents=True)
    for path in (source / "1.jpg", source / "more" / "2.JPEG"):
        Image.new("RGB", (64, 48), (200, 30, 90)).save(path, "JPEG")
    output = tmp_path / "rates.json"
    arguments = ["--num_pictures=70", "--num_pictures=1001", "--rounds=1", "--seconds=0.01", "--image_size=16"]
    process = command(
        "experiments.benchmarks.input_pipeline",
        *arguments,
        f"--source={source}",
        f"--output={output}",
        "--cache=memory",
    )
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "2 different images" in printed and "1,001 " in printed
    measured = json.loads(output.read_text())
    assert measured["image_size"] == 16 and measured["cache"] == "memory"
    assert [each["num_pictures"] for each in measured["datasets"]] == [70, 1001]
    for each in measured["datasets"]:
        assert len(each["bare"]) == len(each["pipeline"]) == 1
        assert each["ratio"] == pytest.approx(each["pipeline"][0] / each["bare"][0])
        assert each["peak_memory"] >= each["memory_at_start"] > 1e8


def test_nothing_to_measure(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \.jpg or \.jpeg files in .*: give a folder of photographs"):
        photographs.read(tmp_path)
    with pytest.raises(
        ValueError, match=r"1000000000 images need 102000\.0 GB, and .*: give a folder on another disk as --scratch"
    ):
        input_pipeline.write_records(str(tmp_path), [b"x" * 100_000], 10**9)
