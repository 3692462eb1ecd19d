"""The random numbers that an iteration draws: noise, and the changes of the augmentation."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.replicas import replica_rows
from xmcgan.training import augmentation

# Far from the numbers of the noise.
_FIRST_CHANGE = 1 << 32
_DISTRIBUTIONS = {"normal": tf.random.stateless_normal, "uniform": tf.random.stateless_uniform}


class Draw(NamedTuple):
    """One of the draws of an iteration."""

    distribution: str  # 'normal', N(0, 1); or 'uniform', in [0, 1)
    shape: tuple[int, int]  # [batch, numbers], over all replicas
    number: int  # Different for each draw of an iteration


class RandomNumbers(NamedTuple):
    """The random numbers of an iteration, for the examples of this replica."""

    z: list[tf.Tensor]  # Noise, each [batch, noise_dim]: for each batch, then for each further G step
    changes: list[tf.Tensor]  # Of the augmentation, each [batch, NUM_RANDOM]; empty without augmentation


def draws(config: Config) -> list[Draw]:
    """Lists the draws of an iteration: those of the noise first."""
    options = config.training
    noise = (options.batch_size, config.generator.noise_dim)
    changes = (options.batch_size, augmentation.NUM_RANDOM)
    num_changes = 0 if options.augmentation == "none" else options.batches_per_iteration
    return [
        *(Draw("normal", noise, number) for number in range(options.noises_per_iteration)),
        *(Draw("uniform", changes, _FIRST_CHANGE + number) for number in range(num_changes)),
    ]


def of_iteration(config: Config, step: tf.Tensor) -> RandomNumbers:
    """Draws the random numbers of an iteration."""
    return grouped(config, [rows(draw, config.training.seed, step) for draw in draws(config)])


def grouped(config: Config, numbers: list[tf.Tensor]) -> RandomNumbers:
    """Returns the numbers of `draws(config)` by their use."""
    num_noises = config.training.noises_per_iteration
    return RandomNumbers(numbers[:num_noises], numbers[num_noises:])


def rows(draw: Draw, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Draws this replica's rows, [batch / replicas, numbers].

    They depend only on the arguments: a repeated step draws the same numbers, whatever the number of replicas.

    Args:
      draw: what to draw.
      seed: the run's seed.
      step: the iteration, a scalar int64.
    """
    return replica_rows(_DISTRIBUTIONS[draw.distribution](draw.shape, key(draw, seed, step)))


def key(draw: Draw, seed: int, step: tf.Tensor) -> tf.Tensor:
    """Returns the seed of TensorFlow's stateless functions, [2] int64."""
    return tf.random.experimental.stateless_fold_in(tf.constant([seed, draw.number], tf.int64), step)
