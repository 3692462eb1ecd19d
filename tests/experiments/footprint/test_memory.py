"""Tests of predicted memory on the smallest experiment: static parts exactly, the rest within bounds."""

from __future__ import annotations

import json
import math

import pytest
import tensorflow as tf

from data_pipelines.datasets import preset
from experiments.footprint import random_image_encoder, step_memory, traced_step
from experiments.footprint.step_memory import Prediction
from tests.support.tiny_networks import tiny_config
from xmcgan.training.state import TrainState

_WITHOUT_IMAGE_ENCODER = {"losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0}


def _bytes(variables) -> int:
    return sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in variables)


@pytest.mark.slow
def test_the_parts_of_a_replica():
    config = tiny_config(**_WITHOUT_IMAGE_ENCODER, **{"training.batch_size": 6, "training.update_rule": "algorithm1"})
    predicted = step_memory.predict(config, replicas=3)
    assert config.training.batch_size == 6  # Unchanged.
    state = TrainState(config)
    assert predicted.held["weights of the generator"] == _bytes(state.generator.variables)
    assert predicted.held["its averaged weights"] == _bytes(state.ema_generator.variables)
    assert predicted.held["weights of the discriminator"] == _bytes(state.discriminator.variables)
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    assert predicted.held["moments of Adam"] == sum(_bytes(each.variables) for each in optimizers)
    example = 2 * (64 * 64 * 3 + 4 * (5 * 6 + 6 + 1 + 3))
    assert predicted.held["batches in flight"] == 3 * example  # Two for the iteration, and one that is prefetched.
    assert predicted.gradients["generator"] == _bytes(state.generator.trainable_variables)

    # A step has at least the images of both networks and its gradients. G's step goes through both networks.
    images = 4 * 2 * 64 * 64 * 3
    assert predicted.discriminator_step > 2 * images + predicted.gradients["discriminator"]
    assert predicted.generator_step > predicted.gradients["generator"] + 2 * images
    assert predicted.word_loss > 0 and predicted.other_sentences > 0
    assert predicted.peak == sum(predicted.held.values()) + predicted.step


@pytest.mark.parametrize(
    ("handle", "millions"),
    [
        ("https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/4", 109.5),
        ("https://tfhub.dev/tensorflow/bert_en_uncased_L-24_H-1024_A-16/4", 335.1),
        ("bert/of/no/named/size", 109.5),
    ],
)
def test_published_berts(handle, millions):
    config = preset("coco2014")
    config.text.encoder = handle
    assert step_memory.bert_parameters(config) / 1e6 == pytest.approx(millions, abs=0.06)


def test_the_image_encoder_has_its_published_size():
    config = preset("coco2014")
    config.image_encoder.architecture, config.image_encoder.layer = "resnet50", "logits"
    with traced_step.without_storage():
        encoder = random_image_encoder.build(config)
    assert _bytes(encoder.variables) == pytest.approx(4 * 25.64e6, rel=1e-3)
    config.losses.generator_image_encoder = 0.0
    assert random_image_encoder.build(config) is None


def test_an_image_encoder_of_unknown_size_is_refused():
    config = preset("scenes")
    assert random_image_encoder.build(config) is None  # All of its losses are off.
    config.losses.generator_image_encoder = 1.0
    with traced_step.without_storage():
        encoder = random_image_encoder.build(config)  # The prepared encoder, whose layers are known.
    assert encoder.output_shape == (None, 128) and not encoder.trainable_variables
    config.image_encoder.weights = "https://tfhub.dev/some/encoder/1"
    with pytest.raises(ValueError, match=r"architecture='hub' has no size .* give one of vgg19, resnet50, or switch"):
        random_image_encoder.build(config)


def _prediction(step_bytes: int) -> Prediction:
    return Prediction({"all": 10}, 0, step_bytes, 0, 0, {}, "")


def test_the_fewest_micro_batches_that_fit():
    config = tiny_config(**{"training.batch_size": 12, "training.micro_batches": 3})

    def predict(each) -> Prediction:
        return _prediction(120 // each.training.micro_batches // (2 if each.training.recompute else 1))

    assert step_memory.smallest_fit(config, 130, predict) == (1, False)
    assert step_memory.smallest_fit(config, 129, predict) == (1, True)
    assert step_memory.smallest_fit(config, 69, predict) == (2, True)
    assert step_memory.smallest_fit(config, 39, predict) == (4, True)
    assert step_memory.smallest_fit(config, 12, predict) is None  # The batch cannot be divided by 8.
    assert config.training.micro_batches == 3 and not config.training.recompute


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [["--config.training.update_rule=algorithm1"], ["--config.training.micro_batches=2"]]
)
def test_the_prediction_is_what_the_allocator_counts(command, options):
    sizes = ["--config.generator.channels=8", "--config.discriminator.channels=8", "--config.training.batch_size=8"]
    process = command("experiments.memory", "--dataset=scenes", *sizes, *options, "--measure")
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert abs(json.loads(output.splitlines()[-1])["error"]) < 0.25


@pytest.mark.slow
def test_the_command(command):
    sizes = ["--config.generator.channels=2", "--config.discriminator.channels=2", "--config.training.batch_size=2"]
    process = command("experiments.memory", "--dataset=scenes", *sizes, "--measure", "--fit=4")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    result = json.loads(output.splitlines()[-1])
    assert result["gb"]["weights of the generator"] == pytest.approx(result["gb"]["its averaged weights"])
    assert 0 < result["step_gb"] < result["peak_gb"] < 4 and result["measured_step_gb"] > 0
    assert result["fit"] == {"micro_batches": 1, "recompute": False}
    assert "GB measured" in output and "--config.training.micro_batches=1 fits in 4 GB" in output
