"""A trained generator made ready to serve: smaller, and without what only training needs."""

from __future__ import annotations

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.generator import Generator
from xmcgan.training.state import build_generator


def fold_statistics(generator: Generator) -> None:
    """Makes the batch statistics part of the modulations, which ends all training of the generator."""
    for modulation in generator.modulations:
        modulation.fold()


def in_precision(generator: Generator, config: Config, precision: str) -> Generator:
    """A generator of 16 bits, weights and activations, with the weights of one of 32.

    Args:
      generator: the trained one.
      config: of the run.
      precision: 'bfloat16', 'float16', or 'float32' for the generator itself.

    Returns:
      The generator, for inference.

    Raises:
      ValueError: a weight is too large for float16.
    """
    if precision == "float32":
        return generator
    smaller = build_generator(config, precision, small=True)
    if generator.last_modulation.scale_and_shift is not None:  # The same variables; their values follow.
        fold_statistics(smaller)
    for target, source in zip(smaller.variables, generator.variables):
        value = tf.cast(source, target.dtype)
        if not tf.reduce_all(tf.math.is_finite(value)):
            raise ValueError(f"the weights {source.name} are too large for {precision}: pass --precision=bfloat16")
        target.assign(value)
    return smaller
