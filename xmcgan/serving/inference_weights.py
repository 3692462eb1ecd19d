"""Prepares a trained generator for inference: folds batch statistics, and converts weights to 16 bits."""

from __future__ import annotations

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.generator import Generator
from xmcgan.models.modulation import Condition, LinearOfCondition, SelfModulation, Statistics, scale_and_shift
from xmcgan.models.precision import at_least_float32
from xmcgan.training.state import build_generator


class FoldedModulation(tf.keras.layers.Layer):
    """A trained modulation with its moving averages folded in: scale and shift are one linear map of the condition.

    This is possible because gamma and beta are linear in the condition.
    """

    def __init__(self, modulation: SelfModulation):
        """Makes a layer with the same results as `modulation` has outside of training."""
        super().__init__(name=modulation.name, dtype=modulation.dtype_policy)
        self.linear_inputs, self.upsampling = modulation.linear_inputs, modulation.upsampling
        gamma, beta = modulation.gamma, modulation.beta
        self.scale_and_shift = LinearOfCondition(2 * gamma.units, dtype=self.dtype_policy, name="scale_and_shift")
        self.scale_and_shift([tf.zeros([1, gamma.kernel.shape[0]])])  # Makes its variables.

        mean, variance = modulation.statistics.moving_averages()  # [1, channels]
        inverse_deviation = tf.math.rsqrt(variance + modulation.epsilon)
        (gamma_kernel, gamma_bias), (beta_kernel, beta_bias) = (
            (at_least_float32(layer.kernel.value()), at_least_float32(layer.bias.value())) for layer in (gamma, beta)
        )
        scale_kernel, scale_bias = inverse_deviation * gamma_kernel, inverse_deviation[0] * (1.0 + gamma_bias)
        shift_kernel, shift_bias = beta_kernel - mean * scale_kernel, beta_bias - mean[0] * scale_bias
        for variable, values in (
            (self.scale_and_shift.kernel, tf.concat([scale_kernel, shift_kernel], axis=1)),
            (self.scale_and_shift.bias, tf.concat([scale_bias, shift_bias], axis=0)),
        ):
            variable.assign(tf.cast(values, variable.dtype))

    def call(self, x: tf.Tensor, condition: Condition, statistics: Statistics | None = None) -> tf.Tensor:
        """Normalizes and modulates, see `SelfModulation.call`; batch statistics are not used."""
        del statistics
        scale, shift = tf.split(self.scale_and_shift(self.linear_inputs(condition)), 2, axis=-1)
        return scale_and_shift(x, scale, shift, self.upsampling)


def fold_statistics(generator: Generator) -> None:
    """Folds the moving averages into the modulations; afterwards the generator cannot be trained."""
    for block in generator.blocks:
        block.modulation_0, block.modulation_1 = _folded(block.modulation_0), _folded(block.modulation_1)
    generator.last_modulation = _folded(generator.last_modulation)


def _folded(modulation: SelfModulation | FoldedModulation) -> FoldedModulation:
    return modulation if isinstance(modulation, FoldedModulation) else FoldedModulation(modulation)


def in_precision(generator: Generator, config: Config, precision: str) -> Generator:
    """Converts a generator's weights and activations to a precision.

    Args:
      generator: the trained generator.
      config: of the run.
      precision: 'bfloat16', 'float16', or 'float32', which returns the generator itself.

    Returns:
      The generator, for inference.

    Raises:
      ValueError: a weight is too large for float16.
    """
    if precision == "float32":
        return generator
    smaller = build_generator(config, precision, small=True)
    if isinstance(generator.last_modulation, FoldedModulation):  # Makes the same variables; their values follow.
        fold_statistics(smaller)
    for target, source in zip(smaller.variables, generator.variables):
        value = tf.cast(source, target.dtype)
        if not tf.reduce_all(tf.math.is_finite(value)):
            raise ValueError(f"the weights {source.name} are too large for {precision}: use bfloat16")
        target.assign(value)
    return smaller
