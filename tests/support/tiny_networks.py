"""The smallest experiment that has every part, with random inputs, shared by several tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines.datasets import preset
from xmcgan.config import Config
from xmcgan.config_checks import validate
from xmcgan.models.discriminator import Discriminator
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.step import Example

_SETTINGS = {
    "data.text_length": 5,
    "text.dim": 6,
    "generator.channels": 1,
    "generator.noise_dim": 3,
    "generator.condition_dim": 2,
    "discriminator.channels": 1,
    "losses.generator_image_encoder": 1.0,
    "losses.generator_perceptual": 0.5,
    "training.batch_size": 4,
}


def tiny_config(**changes: Any) -> Config:
    """Returns a config with 64 px, one channel, and every loss on.

    Args:
      **changes: fields to change, by dotted name: `tiny_config(**{"training.seed": 1})`.
    """
    config = preset("scenes")
    for name, value in {**_SETTINGS, **changes}.items():
        section, field = name.split(".")
        assert hasattr(getattr(config, section), field), name
        setattr(getattr(config, section), field, value)
    return validate(config)


def random_text(config: Config, batch: int, seed: int = 0, dtype: str = "float32") -> TextFeatures:
    """Returns features of captions of all lengths; the padding is as random as the words."""
    rng = np.random.default_rng(seed)
    words, dim = config.data.text_length, config.text.dim
    return TextFeatures(
        sentence=tf.constant(rng.normal(size=[batch, dim]), dtype),
        words=tf.constant(rng.normal(size=[batch, words, dim]), dtype),
        lengths=tf.constant([2 + (i + seed) % (words - 1) for i in range(batch)], tf.int32),
    )


def random_example(config: Config, batch: int, seed: int = 0, dtype: str = "float32") -> Example:
    """Returns a random batch: images of smooth colors, text features and noise."""
    rng = np.random.default_rng(1000 + seed)
    size = config.data.image_size
    coarse = rng.uniform(size=[batch, 8, 8, 3]).repeat(size // 8, axis=1).repeat(size // 8, axis=2)
    return Example(
        image=tf.constant(0.9 * coarse + 0.1 * rng.uniform(size=coarse.shape), dtype),
        text=random_text(config, batch, seed, dtype),
        z=tf.constant(rng.normal(size=[batch, config.generator.noise_dim]), dtype),
    )


def build_networks(config: Config, example: Example) -> tuple[Generator, Discriminator]:
    """Builds both networks in Keras' current precision, with random biases, as zero biases would hide errors.

    The variables are the same for every distribution strategy.
    """
    tf.keras.utils.set_random_seed(config.training.seed)
    size, dim = config.data.image_size, config.text.dim
    generator = Generator(config.generator, size, dim)
    discriminator = Discriminator(config.discriminator, size, dim)
    generator(example.z, example.text)
    discriminator(example.image, example.text.sentence)
    for i, variable in enumerate(generator.trainable_variables + discriminator.trainable_variables):
        if variable.shape.rank == 1:
            variable.assign(0.1 * np.random.default_rng(i).normal(size=variable.shape))
    return generator, discriminator


def image_encoder(images: tf.Tensor) -> tf.Tensor:
    """Replaces the frozen image encoder, with the same interface: images -> features, [batch, 5]."""
    kernel = tf.constant(np.random.default_rng(5).normal(size=[4 * 4 * 3, 5]), images.dtype)
    pooled = tf.nn.avg_pool2d(images, images.shape[1] // 4, images.shape[1] // 4, "VALID")  # [batch, 4, 4, 3]
    return tf.tanh(tf.matmul(tf.reshape(pooled, [-1, 4 * 4 * 3]), kernel))
