"""Tests the benchmark of the word loss at small sizes; the measured times do not matter."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.support.command_modules import load

word_loss = load("experiments.benchmarks.word_loss")


@pytest.mark.parametrize("sizes", [word_loss.Sizes(3, 5, 16, 8), word_loss.Sizes(4, 3, 4, 24)])
def test_the_implementations_agree_in_loss_and_gradient(sizes):
    errors = word_loss.differences(sizes)
    assert max(errors.values()) < 1e-5
    batch = word_loss.random_batch(sizes)
    loss, gradient = word_loss.loss_and_gradient(word_loss.ours, sizes)(*batch)
    assert loss > 0.1 and np.any(gradient)


def test_the_public_implementation_stores_the_contexts_and_ours_does_not():
    sizes = word_loss.Sizes(8, 20, 16, 512)
    needed = word_loss.needed_gb([sizes])
    contexts = 1e-9 * 4 * sizes.batch**2 * sizes.words * sizes.dim
    assert needed["public"][0] > 2 * contexts > 3 * needed["ours"][0]


@pytest.mark.slow
def test_the_command(command):
    sizes = ["--batch_size=24", "--words=7", "--regions=16", "--dim=64", "--rounds=1"]
    process = command("experiments.benchmarks.word_loss", *sizes, "--max_gb=0.002")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    result = json.loads(output.splitlines()[-1])
    assert max(result["agree"].values()) < 1e-4
    (case,) = result["cases"]
    assert case["ours"]["predicted_gb"] < 0.002 < case["public"]["predicted_gb"]
    assert case["ours"]["seconds"] > 0 and case["ours"]["peak_gb"] >= 0
    assert "seconds" not in case["public"] and "not run: needs" in output


def test_wrong_sizes(command):
    process = command("experiments.benchmarks.word_loss", "--batch_size=1")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and errors == "error: --batch_size and --words must be 2 or more (see --help)\n"
