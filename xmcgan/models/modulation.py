"""Self-modulation: batch normalization whose scale and shift are linear in the condition (paper section 4.2).

    h' = (h - mu) / sigma * (1 + gamma(condition)) + beta(condition)

Gamma and beta are computed where the condition lives (a vector, or a 16 x 16 map of word contexts) and the batch
statistics are folded into them there; only then are they up-sampled to the feature map, which is read once. A
1 x 1 convolution commutes with nearest up-sampling, so this equals the formula on the up-sampled condition.

A layer has no effects: who uses it takes the moments of its input, makes them the statistics of the batch, gives them
to the layer, and lets the moving averages follow once a step.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.models.precision import at_least_float32
from xmcgan.models.resampling import upsample
from xmcgan.replicas import group_mean


class Condition(NamedTuple):
    """What a generator's layer is told."""

    vector: tf.Tensor  # concat(projected e_s, z), [batch, condition]
    context: tf.Tensor | None = None  # Word context c_j of every region, [batch, 16, 16, dim]


class Statistics(NamedTuple):
    """What a map is normalized by; in a row for each part of the batch that had statistics of its own."""

    mean: tf.Tensor  # mu, [parts, channels]
    variance: tf.Tensor  # sigma^2, the biased one (divided by n), [parts, channels]


class FeatureMap(NamedTuple):
    """A map, and what its batch statistics are made of."""

    value: tf.Tensor  # [batch, height, width, channels]
    # Mean and mean of squares of each part of the batch, [parts, 2, channels]; None outside of training.
    moments: tf.Tensor | None


def feature_map(value: tf.Tensor, training: bool) -> FeatureMap:
    """A map [batch, height, width, channels] with its moments, if in training."""
    if not training:
        return FeatureMap(value, None)
    x = at_least_float32(value)
    moments = tf.stack([tf.reduce_mean(x, axis=[0, 1, 2]), tf.reduce_mean(tf.square(x), axis=[0, 1, 2])])
    return FeatureMap(value, moments[tf.newaxis])


class BatchStatistics(tf.keras.layers.Layer):
    """Mean and variance of each channel: the batch's in training, their moving averages outside."""

    def __init__(self, momentum: float, replicas_per_group: int, **kwargs):
        """Args:
        momentum: of the moving averages.
        replicas_per_group: replicas that share statistics, see `group_mean`.
        """
        super().__init__(**kwargs)
        self.momentum = momentum
        self.replicas_per_group = replicas_per_group

    def build(self, input_shape) -> None:
        channels = [input_shape[-1]]
        # Each replica keeps the averages of what it saw; saving and reading takes their mean.
        shared = {
            "trainable": False,
            "dtype": self.dtype if tf.as_dtype(self.dtype).size >= 4 else tf.float32,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.MEAN,
            "experimental_autocast": False,
        }
        self.moving_mean = self.add_weight("moving_mean", channels, initializer="zeros", **shared)
        self.moving_variance = self.add_weight("moving_variance", channels, initializer="ones", **shared)

    def of_batch(self, moments: tf.Tensor | None) -> Statistics | None:
        """The statistics of the whole batch, or of that of a group of replicas, from the moments of its parts.

        Args:
          moments: of this replica's parts of equal size, [parts, 2, channels]; None outside of training.

        Returns:
          Statistics with one row; None outside of training.
        """
        if moments is None:
            return None
        moments = group_mean(tf.reduce_mean(moments, axis=0, keepdims=True), self.replicas_per_group)
        mean, mean_of_squares = moments[:, 0], moments[:, 1]  # [1, channels]
        return Statistics(mean, tf.maximum(mean_of_squares - tf.square(mean), 0.0))

    def average(self) -> Statistics:
        """The moving averages, in one row."""
        return Statistics(self.moving_mean[tf.newaxis], self.moving_variance[tf.newaxis])

    def follow(self, statistics: Statistics) -> None:
        """Moves the averages towards the statistics of a step: those of all rows together."""
        mean = tf.reduce_mean(statistics.mean, axis=0)
        variance = tf.reduce_mean(statistics.variance, axis=0) + tf.math.reduce_variance(statistics.mean, axis=0)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(self.momentum * average + (1.0 - self.momentum) * value)


class LinearOfCondition(tf.keras.layers.Layer):
    """A linear map of concat(word context, condition vector), the vector being the same in every region.

    The kernel is that of the paper's linear layer on the concatenation; it is applied in two parts, so that the
    vector's part is computed once an image instead of once a region.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: list) -> None:
        inputs = sum(shape[-1] for shape in input_shape)
        self.kernel = self.add_weight("kernel", [inputs, self.units], initializer="glorot_normal")
        self.bias = self.add_weight("bias", [self.units], initializer="zeros")

    def call(self, parts: list) -> tf.Tensor:
        """[vector] -> [batch, 1, 1, units]; [context, vector] -> [batch, 16, 16, units]."""
        *context, vector = parts
        split = self.kernel.shape[0] - vector.shape[-1]
        of_vector = tf.matmul(vector, self.kernel[split:]) + self.bias
        of_vector = of_vector[:, None, None, :]
        if not context:
            return of_vector
        # As one matrix product: on maps, the kernel's gradient would be one for each of their rows, then summed up.
        of_regions = tf.matmul(tf.reshape(context[0], [-1, split]), self.kernel[:split])
        return tf.reshape(of_regions, [-1, *context[0].shape[1:3], self.units]) + of_vector


class SelfModulation(tf.keras.layers.Layer):
    """Modulates every region alike, by the noise and the sentence (Chen et al. 2019)."""

    def __init__(self, momentum: float, epsilon: float, replicas_per_group: int, **kwargs):
        """Args:
        momentum: of the moving averages of the batch statistics.
        epsilon: added to the variance.
        replicas_per_group: replicas that share batch statistics, see `group_mean`.
        """
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.statistics = BatchStatistics(momentum, replicas_per_group, name="statistics")
        self.scale_and_shift: LinearOfCondition | None = None  # In the place of gamma and beta, see `fold`.

    def build(self, input_shape) -> None:
        with tf.name_scope(self.statistics.name):
            self.statistics.build(input_shape)
        self.gamma = LinearOfCondition(input_shape[-1], name="gamma")
        self.beta = LinearOfCondition(input_shape[-1], name="beta")

    def _parts(self, condition: Condition) -> list:
        return [condition.vector]

    def call(self, x: tf.Tensor, condition: Condition, statistics: Statistics | None = None) -> tf.Tensor:
        """Normalizes and modulates.

        Args:
          x: [batch, height, width, channels].
          condition: what the layer is told.
          statistics: the batch's, in one row; None takes the moving averages.

        Returns:
          The shape of `x`.
        """
        parts = self._parts(condition)
        if self.scale_and_shift is not None:
            scale, shift = tf.split(self.scale_and_shift(parts), 2, axis=-1)
        else:
            gamma, beta = at_least_float32(self.gamma(parts)), at_least_float32(self.beta(parts))
            mean, variance = self.statistics.average() if statistics is None else statistics
            scale = tf.math.rsqrt(variance + self.epsilon) * (1.0 + gamma)  # [batch, 1 or 16, 1 or 16, channels]
            shift = beta - mean * scale
        scale, shift = tf.cast(scale, x.dtype), tf.cast(shift, x.dtype)
        if scale.shape[1] > 1:
            factor = x.shape[1] // scale.shape[1]
            scale, shift = upsample(scale, factor), upsample(shift, factor)
        return x * scale + shift

    def fold(self) -> None:
        """Makes gamma, beta and the moving averages one linear layer, which ends all training of this one.

        Scale and shift are linear in the condition, as gamma and beta are.
        """
        if self.scale_and_shift is not None:
            return
        mean, variance = self.statistics.average()  # [1, channels]
        inverse_deviation = tf.math.rsqrt(variance + self.epsilon)
        (gamma_kernel, gamma_bias), (beta_kernel, beta_bias) = (
            (at_least_float32(layer.kernel.value()), at_least_float32(layer.bias.value()))
            for layer in (self.gamma, self.beta)
        )
        scale_kernel, scale_bias = inverse_deviation * gamma_kernel, inverse_deviation[0] * (1.0 + gamma_bias)
        shift_kernel, shift_bias = beta_kernel - mean * scale_kernel, beta_bias - mean[0] * scale_bias
        folded = LinearOfCondition(2 * self.gamma.units, dtype=self.dtype_policy, name="scale_and_shift")
        folded([tf.zeros([1, self.gamma.kernel.shape[0]])])  # Makes its variables.
        for variable, value in (
            (folded.kernel, tf.concat([scale_kernel, shift_kernel], axis=1)),
            (folded.bias, tf.concat([scale_bias, shift_bias], axis=0)),
        ):
            variable.assign(tf.cast(value, variable.dtype))
        self.scale_and_shift = folded
        self.gamma = self.beta = None


class AttentionalSelfModulation(SelfModulation):
    """Modulates each region by its word context as well (the equations of section 4.2)."""

    def _parts(self, condition: Condition) -> list:
        return [condition.context, condition.vector]
