"""Training on stored text features: as on the fly, to the accuracy of float16; and what padding has to do with it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.datasets import preset
from tests.support.processes import finish
from tests.support.states import put_back
from tests.support.tiny_networks import image_encoder, random_example, tiny_config
from tests.support.train_here import train_here
from xmcgan.training import workdir
from xmcgan.training.state import TrainState
from xmcgan.training.step import TrainingStep

SMALL = (
    "--dataset=scenes",
    "--config.generator.channels=1",
    "--config.discriminator.channels=1",
    "--config.training.batch_size=4",
    "--config.training.steps_per_call=1",
    "--config.training.log_every=1",
    "--config.training.sample_every=0",
    "--config.training.num_steps=2",
)


def _metrics(folder) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images_per_second"} for line in lines]


@pytest.fixture(scope="module")
def data_dir(command, scenes_dir, tmp_path_factory):
    """The scenes with their stored text features."""
    unfinished = shutil.ignore_patterns("*.incomplete")  # Of other tests.
    data_dir = shutil.copytree(scenes_dir, tmp_path_factory.mktemp("stored") / "data", ignore=unfinished)
    output = finish(command("data_pipelines.precompute_text", "--dataset=scenes", f"--data_dir={data_dir}"))
    assert "stored the text features of all training captions" in output
    assert str(data_dir / "scenes" / "2.0.0" / "text_features") in output
    return data_dir


@pytest.mark.slow  # Two runs, each of which is traced.
def test_a_run_as_its_user_starts_it(command, data_dir, tmp_path):
    on_the_fly = command("xmcgan.train", *SMALL, f"--data_dir={data_dir}", f"--workdir={tmp_path}/fly")
    arguments = (*SMALL, "--config.text.precomputed", f"--data_dir={data_dir}")
    stored = command("xmcgan.train", *arguments, f"--workdir={tmp_path}/stored")
    finish(on_the_fly)
    finish(stored)

    expected, actual = _metrics(tmp_path / "fly"), _metrics(tmp_path / "stored")
    assert len(actual) == 2 and actual != expected
    for name, value in expected[0].items():  # Later steps drift apart, as after any rounding.
        np.testing.assert_allclose(actual[0][name], value, rtol=1e-3, atol=1e-3, err_msg=name)


def test_a_run_keeps_to_its_way_and_to_its_features(data_dir, tmp_path):
    config = preset("scenes")
    config.generator.channels = config.discriminator.channels = 1
    config.training.batch_size, config.training.num_steps = 4, 2
    workdir.claim_workdir(str(tmp_path / "fly"), config)
    config.text.precomputed = True
    with pytest.raises(ValueError, match=r"fly holds a run with config\.text\.precomputed=False, not True"):
        workdir.check_workdir(str(tmp_path / "fly"), config)

    config.data.text_length, config.training.deterministic = 9, False
    with pytest.raises(ValueError, match=r"were made with config\.data\.text_length=17, not 9: make those of this"):
        train_here(config, data_dir, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("context_words", ["raw", pytest.param("normalized", marks=pytest.mark.slow)])
def test_padding_has_no_part_in_an_iteration(context_words):
    """BERT leaves something behind the last word of a caption, stored features have zeros there."""
    config = tiny_config(**{"generator.context_words": context_words})
    state, results = TrainState(config), []
    for zeros in (False, True):
        examples = [random_example(config, 4, seed) for seed in range(config.training.batches_per_iteration)]
        if zeros:
            for i, example in enumerate(examples):
                real = tf.sequence_mask(example.text.lengths, config.data.text_length, tf.float32)[..., tf.newaxis]
                examples[i] = example._replace(text=example.text._replace(words=example.text.words * real))
        with put_back(state):
            metrics = TrainingStep(config, state, image_encoder)(examples)
            variables = (*state.generator.variables, *state.discriminator.variables)
            results.append([value.numpy() for value in (*metrics.values(), *variables)])
    for with_padding, with_zeros in zip(*results):
        np.testing.assert_array_equal(with_zeros, with_padding)
