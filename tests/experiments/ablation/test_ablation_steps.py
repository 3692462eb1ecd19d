"""Tests that every row builds its networks and runs a step, and that losses which are off are not computed."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from experiments.ablation.paper_rows import TABLES
from experiments.ablation.tables import config_of, find, row_names
from tests.support.tiny_networks import image_encoder, random_example
from xmcgan.config import Config, LossConfig
from xmcgan.config_checks import validate
from xmcgan.losses import objectives
from xmcgan.training.state import TrainState, build_discriminator, build_generator
from xmcgan.training.step import TrainingStep

_BATCH = 4
_SHRUNK = {
    "data": {"text_length": 5},
    "text": {"dim": 6},
    "generator": {"channels": 1, "noise_dim": 3, "condition_dim": 2},
    "discriminator": {"channels": 1},
    "training": {"batch_size": _BATCH},
}
_STATES: dict[str, TrainState] = {}  # By what they are made of.
# Names of the losses' metrics, by the field of the loss.
_METRICS = {
    field: f"{network[0]}/{loss}_loss"
    for field in vars(LossConfig())
    for network, _, loss in [field.partition("_")]
    if network in ("generator", "discriminator")
}


def _shrunk(name: str) -> Config:
    """Returns the config of a row on scenes, with the smallest networks and batch."""
    config = config_of(*find(name), "scenes")
    for group, values in _SHRUNK.items():
        for field, value in values.items():
            setattr(getattr(config, group), field, value)
    return validate(config)


def _different() -> list[str]:
    """Returns one row of each experiment; rows that differ only in the batch size, or not at all, count as one."""
    rows = {}
    for name in row_names(list(TABLES)):
        rows.setdefault(repr(_shrunk(name)), name)
    return list(rows.values())


def _state(config: Config) -> TrainState:
    """Returns the state to train; rows with the same networks share one, and train on where another row stopped."""
    rates = config.training.generator_learning_rate, config.training.discriminator_learning_rate
    key = repr((config.data, config.text, config.generator, config.discriminator, rates))
    if key not in _STATES:
        _STATES[key] = TrainState(config)
    return _STATES[key]


@pytest.fixture
def calls(monkeypatch):
    """Counts the calls of each loss function, by name."""
    counted = collections.Counter()

    def count(name):
        function = getattr(objectives, name)

        def counting(*args, **kwargs):
            counted[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(objectives, name, counting)

    for name in ("info_nce", "word_region_scores", "perceptual_loss"):
        count(name)
    return counted


@pytest.mark.parametrize("name", _different())
def test_one_step(name, calls):
    config = _shrunk(name)

    def encoder(images):
        calls["image_encoder"] += 1
        return image_encoder(images)

    state = _state(config)
    update = TrainingStep(config, state, encoder)
    examples = [random_example(config, _BATCH, seed) for seed in range(config.training.batches_per_iteration)]
    before = [variable.numpy() for variable in (*state.generator.variables, *state.discriminator.variables)]
    metrics = update(examples)
    after = [variable.numpy() for variable in (*state.generator.variables, *state.discriminator.variables)]

    on = {field for field in _METRICS if getattr(config.losses, field)}
    assert {metric for metric in _METRICS.values() if metric in metrics} == {_METRICS[field] for field in on}
    assert all(np.isfinite(value) for value in metrics.values())
    assert sum(not np.array_equal(a, b) for a, b in zip(before, after)) > 0.8 * len(before)

    # Losses that are off are not computed. D's losses are computed in each of its steps, G's in its single step.
    def times(*losses):
        per_iteration = {"discriminator": config.training.discriminator_steps, "generator": 1}
        return sum(per_iteration[field.split("_")[0]] for field in on if field.endswith(losses))

    assert +calls == +collections.Counter(
        info_nce=times("sentence", "word", "image", "image_encoder"),
        word_region_scores=times("word"),
        perceptual_loss=times("perceptual"),
        image_encoder=2 if times("image_encoder", "perceptual") else 0,
    )


@pytest.mark.parametrize(
    "name, kinds",
    [
        ("table5/self_modulation", {"SelfModulation"}),
        ("table5/attentional", {"SelfModulation", "AttentionalSelfModulation"}),
    ],
)
def test_modulations(name, kinds):
    names = {type(module).__name__ for module in build_generator(_shrunk(name)).submodules}
    assert {name for name in names if "Modulation" in name} == kinds


def test_contrastive_heads():
    variables = [len(build_discriminator(_shrunk(f"fig5/head_{n}")).trainable_variables) for n in (0, 1, 2)]
    assert np.diff(variables).tolist() == [2, 2]  # One more layer, with kernel and bias.
