"""Tests the benchmark of the metrics at a small size; the measured times do not matter."""

from __future__ import annotations

import json


def test_the_command(command):
    process = command("experiments.benchmarks.frechet", "--dim=16", "--num_images=60")
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    measured = json.loads(printed.splitlines()[-1])
    assert (measured["dim"], measured["num_images"]) == (16, 60) and measured["cores"] >= 1
    parts = ("moments", "frechet_distance", "kernel_distance", "inception_score", "mismatches", "r_precision")
    assert set(measured) == {"dim", "num_images", "cores", *(f"{part}_seconds" for part in parts)}
    assert all(measured[f"{part}_seconds"] >= 0 for part in parts)
    assert "frechet distance" in printed
