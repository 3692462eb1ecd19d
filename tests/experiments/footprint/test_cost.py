"""Tests of the cost of a run, against a written checkpoint and against sums by hand."""

from __future__ import annotations

import json

import pytest

from data_pipelines.datasets import preset
from experiments.footprint import run_cost
from experiments.footprint.run_cost import Cost
from tests.support.tiny_networks import tiny_config
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.state import TrainState

_CHANGES = {"training.num_steps": 10, "losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0}


def test_hours_and_totals():
    cost = Cost(images=36_000, flop_per_image=1e12, checkpoint_bytes=10, kept_checkpoints=4)
    assert cost.flop == 3.6e16 and cost.disk_bytes == 40
    assert cost.hours(1e12) == pytest.approx(10.0)


@pytest.mark.slow
def test_a_checkpoint_is_as_large_as_one_that_was_written(tmp_path):
    config = tiny_config(**_CHANGES, **{"generator.channels": 4, "discriminator.channels": 4})
    cost = run_cost.cost_of(config)
    Checkpoints(str(tmp_path), TrainState(config), max_to_keep=1).save({})
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert cost.checkpoint_bytes == pytest.approx(written, rel=0.15)  # The file also has names and an index.


@pytest.mark.slow  # Traces four networks' steps.
def test_losses_that_are_off_cost_nothing():
    full = run_cost.cost_of(tiny_config(**_CHANGES))
    without = run_cost.cost_of(
        tiny_config(**_CHANGES, **{"losses.discriminator_word": 0.0, "losses.generator_word": 0.0})
    )
    assert full.images == without.images == 10 * 4
    # Only the word loss uses D's projection of the regions.
    assert without.flop_per_image < full.flop_per_image


def test_bert_base_is_twice_its_weights_for_each_token():
    config = preset("coco2014")
    config.data.text_length = 512
    weights = 12 * (4 * 768**2 + 2 * 768 * 3072)  # The four matrices of attention, and the two of the dense layers.
    attention = 12 * 2 * (512**2 * 768)  # The scores of all pairs of tokens, and the weighted sums.
    assert run_cost.text_encoder_flop(config) == 2 * (weights * 512 + attention)
    config.text.precomputed = True
    assert run_cost.text_encoder_flop(config) == 0


def test_nothing_to_count(command):
    process = command("experiments.cost")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2 and "give what to count" in errors


@pytest.mark.slow  # Traces the steps of a row.
def test_the_command(command):
    process = command("experiments.cost", "--row=table4/i_vgg", "--dataset=scenes", "--num_pictures=8000")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    lines = output.strip().split("\n")
    cost = json.loads(lines[-1])["table4/i_vgg"]
    assert cost["pictures"] == 8000
    row = next(line for line in lines if line.startswith("| table4/i_vgg"))
    assert row.count("|") == 7
    assert f"{cost['flop_per_image'] / 1e9:.0f}" == row.split("|")[2].strip()
