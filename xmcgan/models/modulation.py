"""Self-modulation: batch normalisation whose scale and shift are linear in the condition (paper section 4.2).

    h' = (h - mu) / sigma * (1 + gamma(condition)) + beta(condition)

Gamma and beta are computed where the condition lives (a vector, or a 16 x 16 map of word contexts) and the batch
statistics are folded into them there; only then are they up-sampled to the feature map, which is read once. A
1 x 1 convolution commutes with nearest up-sampling, so this equals the formula on the up-sampled condition.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.models.resampling import upsample


class Condition(NamedTuple):
    """What a generator's layer is told."""

    vector: tf.Tensor  # concat(projected e_s, z), [batch, condition]
    context: tf.Tensor | None = None  # Word context c_j of every region, [batch, 16, 16, dim]


class BatchStatistics(tf.keras.layers.Layer):
    """Mean and variance of each channel: the batch's in training, their moving averages outside.

    Under a distribution strategy the batch is that of all replicas if `synchronized`. The variance is the biased
    one (divided by n), in training and in the moving average alike.
    """

    def __init__(self, momentum: float, epsilon: float, synchronized: bool, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.synchronized = synchronized

    def build(self, input_shape) -> None:
        channels = [input_shape[-1]]
        # Each replica keeps the averages of what it saw; saving and reading takes their mean.
        shared = {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.MEAN,
            "experimental_autocast": False,
        }
        self.moving_mean = self.add_weight("moving_mean", channels, initializer="zeros", **shared)
        self.moving_variance = self.add_weight("moving_variance", channels, initializer="ones", **shared)

    def call(self, x: tf.Tensor, training: bool, update_statistics: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """[batch, height, width, channels] -> mean and 1 / standard deviation, [channels] each."""
        if not training:
            return self.moving_mean, tf.math.rsqrt(self.moving_variance + self.epsilon)
        mean = tf.reduce_mean(x, axis=[0, 1, 2])
        mean_of_squares = tf.reduce_mean(tf.square(x), axis=[0, 1, 2])
        replicas = tf.distribute.get_replica_context()
        if self.synchronized and replicas.num_replicas_in_sync > 1:
            mean, mean_of_squares = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, [mean, mean_of_squares])
        variance = tf.maximum(mean_of_squares - tf.square(mean), 0.0)
        if update_statistics:
            for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(self.momentum * average + (1.0 - self.momentum) * value)
        return mean, tf.math.rsqrt(variance + self.epsilon)


class LinearOfCondition(tf.keras.layers.Layer):
    """A linear map of concat(word context, condition vector), the vector being the same in every region.

    The kernel is that of the paper's linear layer on the concatenation; it is applied in two parts, so that the
    vector's part is computed once a picture instead of once a region.
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
        return tf.matmul(context[0], self.kernel[:split]) + of_vector if context else of_vector


class SelfModulation(tf.keras.layers.Layer):
    """Modulates every region alike, by the noise and the sentence (Chen et al. 2019)."""

    def __init__(self, momentum: float, epsilon: float, synchronized: bool, **kwargs):
        super().__init__(**kwargs)
        self.statistics = BatchStatistics(momentum, epsilon, synchronized, name="statistics")

    def build(self, input_shape) -> None:
        self.gamma = LinearOfCondition(input_shape[-1], name="gamma")
        self.beta = LinearOfCondition(input_shape[-1], name="beta")

    def _parts(self, condition: Condition) -> list:
        return [condition.vector]

    def call(
        self, x: tf.Tensor, condition: Condition, training: bool = False, update_statistics: bool = True
    ) -> tf.Tensor:
        """[batch, height, width, channels] -> the same shape, normalised and modulated."""
        parts = self._parts(condition)
        mean, inverse_deviation = self.statistics(x, training=training, update_statistics=update_statistics)
        scale = inverse_deviation * (1.0 + self.gamma(parts))  # [batch, 1 or 16, 1 or 16, channels]
        shift = self.beta(parts) - mean * scale
        if scale.shape[1] > 1:
            factor = x.shape[1] // scale.shape[1]
            scale, shift = upsample(scale, factor), upsample(shift, factor)
        return x * scale + shift


class AttentionalSelfModulation(SelfModulation):
    """Modulates each region by its word context as well (the equations of section 4.2)."""

    def _parts(self, condition: Condition) -> list:
        return [condition.context, condition.vector]
