"""Every shipped preset builds and runs one full iteration, at its own image size and text length."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.datasets import PRESETS, preset
from tests.support import tiny_networks
from xmcgan.config_checks import validate
from xmcgan.models.image_encoder import build_image_encoder
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.state import TrainState
from xmcgan.training.step import Example, TrainingStep

BATCH = 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of random weights, by architecture: the published ones cannot be fetched in a test."""
    folder = tmp_path_factory.mktemp("weights")

    def path(architecture: str) -> str:
        file = folder / f"{architecture}.h5"
        if not file.exists():
            build = {"vgg19": tf.keras.applications.VGG19, "resnet50": tf.keras.applications.ResNet50}[architecture]
            build(weights=None, include_top=architecture == "resnet50").save_weights(file)
        return str(file)

    return path


# The quick one is the paper's preset, with another image encoder in the place of its own, which takes longest to build
# (tests/xmcgan/models/test_image_encoder.py). Narratives differ from COCO in their length alone; test_loop trains on
# scenes.
@pytest.mark.parametrize(
    "name, encodes",
    [("coco2014", False), *(pytest.param(name, True, marks=pytest.mark.slow) for name in PRESETS)],
)
def test_one_iteration(name, encodes, weights):
    config = preset(name)
    config.generator.channels = config.discriminator.channels = 1
    config.training.batch_size = BATCH
    validate(config)
    image_encoder = tiny_networks.image_encoder if config.losses.generator_image_encoder else None
    if image_encoder and encodes:
        options = config.image_encoder
        image_encoder = build_image_encoder(
            options.architecture, weights(options.architecture), options.layer, options.image_size
        )
    state = TrainState(config)
    before = [variable.numpy() for variable in state.generator.trainable_variables]
    update = TrainingStep(config, state, image_encoder)
    random = np.random.default_rng(0)
    size, length = config.data.image_size, config.data.text_length

    def example() -> Example:
        words = random.normal(size=[BATCH, length, config.text.dim]).astype("float32")
        text = TextFeatures(tf.constant(words.mean(axis=1)), tf.constant(words), tf.constant([3, length]))
        image = tf.constant(random.uniform(size=[BATCH, size, size, 3]).astype("float32"))
        z = tf.constant(random.normal(size=[BATCH, config.generator.noise_dim]).astype("float32"))
        return Example(image, text, z)

    metrics = update([example() for _ in range(config.training.batches_per_iteration)])

    assert all(np.isfinite(value) for value in metrics.values())
    expected = {f"{network}/{name}" for network in "dg" for name in ("hinge", "sentence_loss", "word_loss")}
    assert expected <= set(metrics)
    assert "g/image_loss" in metrics
    assert ("g/image_encoder_loss" in metrics) == (name != "scenes")
    moved = [np.any(a != b.numpy()) for a, b in zip(before, state.generator.trainable_variables)]
    assert all(moved)
