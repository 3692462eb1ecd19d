"""Tests the benchmark of an evaluation at a small size: its parts add up."""

import json

import pytest


@pytest.mark.slow
def test_the_shares_add_up(command):
    sizes = ["--num_pictures=4", "--config.evaluation.num_samples=40", "--config.evaluation.kernel_subset_size=10"]
    process = command("experiments.benchmarks.evaluation", "--dataset=scenes", *sizes)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    measured = json.loads(output.splitlines()[-1])
    forward, other = measured["forward_seconds_per_picture"], measured["other_seconds_per_picture"]
    total = 40 * (forward + other) + measured["scoring_seconds"]
    assert measured["share_not_forward"] == pytest.approx(1 - 40 * forward / total)
    assert "of an evaluation of 40 images" in output
