"""Self-modulation: batch normalization whose scale and shift are linear in the condition (paper section 4.2).

    h' = (h - mu) / sigma * (1 + gamma(condition)) + beta(condition)

Gamma and beta are computed at the resolution of the condition (a vector, or a 16 x 16 map of word contexts), and the
batch statistics are folded into them. Only then are they up-sampled to the feature map, which is read once. A 1 x 1
convolution commutes with up-sampling, nearest or bilinear, so this equals the formula on the up-sampled condition.

A layer has no side effects, so that it can be called for a part of the batch, and can be recomputed. Its caller
computes the moments of the input (`measured`), turns them into the statistics of the batch (`batch_statistics`), passes
these to the layer, and updates the moving averages once per step.
"""

from __future__ import annotations

import functools
from typing import Callable, NamedTuple

import tensorflow as tf

from xmcgan.models.precision import at_least_float32
from xmcgan.models.resampling import Upsampling, upsample
from xmcgan.replicas import group_mean


class Condition(NamedTuple):
    """The inputs that the generator's layers are conditioned on."""

    vector: tf.Tensor  # concat(projected e_s, z), [batch, condition]
    context: tf.Tensor | None = None  # Word context c_j of every region, [batch, 16, 16, dim]


class Statistics(NamedTuple):
    """The mean and variance that a map is normalized by; one row for each part of the batch with its own statistics."""

    mean: tf.Tensor  # mu, [parts, channels]
    variance: tf.Tensor  # sigma^2, the biased variance (divided by n), [parts, channels]


class FeatureMap(NamedTuple):
    """A map, and the moments that its batch statistics are computed from."""

    value: tf.Tensor  # [batch, height, width, channels]
    # Mean and mean of squares of each part of the batch, [parts, 2, channels]; None outside of training.
    moments: tf.Tensor | None


def feature_map(value: tf.Tensor, training: bool) -> FeatureMap:
    """Adds the moments to a map [batch, height, width, channels], if in training."""
    if not training:
        return FeatureMap(value, None)
    x = at_least_float32(value)
    moments = tf.stack([tf.reduce_mean(x, axis=[0, 1, 2]), tf.reduce_mean(tf.square(x), axis=[0, 1, 2])])
    return FeatureMap(value, tf.expand_dims(moments, 0))


def measured(stage: Callable[..., tf.Tensor]) -> Callable[..., FeatureMap]:
    """Decorates a stage between two batch normalizations to return a `FeatureMap`, for the second normalization.

    Args:
      stage: a method that takes tensors [batch, ...] and `statistics`. These are the statistics of the first
        normalization, or None outside of training.
    """

    @functools.wraps(stage)
    def measured_stage(*inputs, statistics: Statistics | None) -> FeatureMap:
        return feature_map(stage(*inputs, statistics=statistics), training=statistics is not None)

    return measured_stage


class BatchStatistics(tf.Module):
    """Mean and variance of each channel: computed from a batch, and their moving averages."""

    def __init__(self, momentum: float, replicas_per_group: int, name: str = "statistics"):
        """Sets the options; `build` makes the variables.

        Args:
          momentum: of the moving averages.
          replicas_per_group: replicas that share statistics, see `group_mean`.
          name: the scope of its variables.
        """
        super().__init__(name)
        self.momentum = momentum
        self.replicas_per_group = replicas_per_group

    def build(self, channels: int, dtype: tf.DType) -> None:
        """Makes the moving averages, in at least 32 bits."""

        def average(name: str, initial_value: tf.Tensor) -> tf.Variable:
            # Each replica keeps averages of its own batches; saving and reading take the mean over replicas.
            return tf.Variable(
                initial_value,
                trainable=False,
                name=name,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.MEAN,
            )

        dtype = dtype if dtype.size >= 4 else tf.float32
        with tf.name_scope(self.name):
            self.moving_mean = average("moving_mean", tf.zeros([channels], dtype))
            self.moving_variance = average("moving_variance", tf.ones([channels], dtype))

    def from_moments(self, moments: tf.Tensor) -> Statistics:
        """Computes the statistics of the batch, over all replicas or one group, from the moments of its parts.

        Args:
          moments: the moments of this replica's parts, which have equal sizes, [parts, 2, channels].

        Returns:
          Statistics with one row.
        """
        moments = group_mean(tf.reduce_mean(moments, axis=0, keepdims=True), self.replicas_per_group)
        mean, mean_of_squares = tf.unstack(moments, axis=1)  # [1, channels]
        return Statistics(mean, tf.maximum(mean_of_squares - tf.square(mean), 0.0))

    def moving_averages(self) -> Statistics:
        """Returns the moving averages as statistics with one row."""
        return Statistics(self.moving_mean[tf.newaxis], self.moving_variance[tf.newaxis])

    def update_moving_averages(self, statistics: Statistics) -> None:
        """Updates the moving averages with the statistics of a step, combined over all rows."""
        mean = tf.reduce_mean(statistics.mean, axis=0)
        variance = tf.reduce_mean(statistics.variance, axis=0) + tf.math.reduce_variance(statistics.mean, axis=0)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(self.momentum * average + (1.0 - self.momentum) * value)


class LinearOfCondition(tf.keras.layers.Layer):
    """A linear map of concat(word context, condition vector), where the vector is the same in every region.

    The kernel is that of the paper's linear layer on the concatenation. It is applied in two parts, so that the
    vector's part is computed once per image instead of once per region.
    """

    def __init__(self, units: int, **kwargs):
        """Makes the layer with `units` outputs."""
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: list) -> None:
        """Makes the kernel for inputs of these shapes, which are in the order of the concatenation."""
        inputs = sum(shape[-1] for shape in input_shape)
        self.kernel = self.add_weight("kernel", [inputs, self.units], initializer="glorot_normal")
        self.bias = self.add_weight("bias", [self.units], initializer="zeros")

    def call(self, inputs: list) -> tf.Tensor:
        """Applies the map: [vector] -> [batch, 1, 1, units]; [context, vector] -> [batch, 16, 16, units]."""
        if len(inputs) == 1:
            return self._map_vector(inputs[0], self.kernel)
        context, vector = inputs
        dim = context.shape[-1]
        context_kernel, vector_kernel = tf.split(self.kernel, [dim, vector.shape[-1]])
        # One matrix product: on 4-D maps, the kernel's gradient would be one product per row of the map, then a sum.
        from_context = tf.matmul(tf.reshape(context, [-1, dim]), context_kernel)
        from_context = tf.reshape(from_context, [-1, *context.shape[1:3], self.units])
        return from_context + self._map_vector(vector, vector_kernel)

    def _map_vector(self, vector: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.matmul(vector, kernel) + self.bias, [-1, 1, 1, self.units])


class SelfModulation(tf.keras.layers.Layer):
    """Modulates every region in the same way, by the noise and the sentence (Chen et al. 2019)."""

    def __init__(
        self,
        momentum: float,
        epsilon: float,
        replicas_per_group: int,
        upsampling: Upsampling = upsample,
        **kwargs,
    ):
        """Makes the layer.

        Args:
          momentum: of the moving averages of the batch statistics.
          epsilon: added to the variance.
          replicas_per_group: replicas that share batch statistics, see `group_mean`.
          upsampling: of scales and shifts, to the size of the map; one of `resampling.UPSAMPLING`.
          **kwargs: see `tf.keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.upsampling = upsampling
        self.statistics = BatchStatistics(momentum, replicas_per_group)

    def build(self, input_shape) -> None:
        """Makes gamma, beta and the moving averages for maps of this shape."""
        channels = input_shape[-1]
        self.statistics.build(channels, tf.as_dtype(self.dtype))
        self.gamma = LinearOfCondition(channels, name="gamma")
        self.beta = LinearOfCondition(channels, name="beta")

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        """Adds the moving averages: by itself, Keras looks for weights only in layers."""
        return [*super().non_trainable_weights, *self.statistics.variables]

    @staticmethod
    def linear_inputs(condition: Condition) -> list[tf.Tensor]:
        """Returns the inputs of gamma and beta, see `LinearOfCondition`."""
        return [condition.vector]

    def call(self, x: tf.Tensor, condition: Condition, statistics: Statistics | None = None) -> tf.Tensor:
        """Normalizes and modulates.

        Args:
          x: [batch, height, width, channels].
          condition: what gamma and beta depend on.
          statistics: of the batch, in one row; None uses the moving averages.

        Returns:
          The modulated map, with the shape of `x`.
        """
        inputs = self.linear_inputs(condition)
        gamma, beta = at_least_float32(self.gamma(inputs)), at_least_float32(self.beta(inputs))
        mean, variance = self.statistics.moving_averages() if statistics is None else statistics
        scale = tf.math.rsqrt(variance + self.epsilon) * (1.0 + gamma)  # [batch, 1 or 16, 1 or 16, channels]
        shift = beta - mean * scale
        return scale_and_shift(x, scale, shift, self.upsampling)


class AttentionalSelfModulation(SelfModulation):
    """Modulates each region also by its word context (the equations of section 4.2)."""

    @staticmethod
    def linear_inputs(condition: Condition) -> list[tf.Tensor]:
        """Returns the word context of each region, and the condition vector."""
        return [condition.context, condition.vector]


def batch_statistics(modulation: SelfModulation, moments: tf.Tensor | None) -> Statistics | None:
    """Computes a modulation's statistics, see `BatchStatistics.from_moments`; None without moments (in inference)."""
    return None if moments is None else modulation.statistics.from_moments(moments)


def scale_and_shift(x: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor, upsampling: Upsampling) -> tf.Tensor:
    """Scales and shifts every region of a map.

    Args:
      x: [batch, height, width, channels].
      scale: [batch, 1, 1, channels], or a map [batch, 16, 16, channels] that is up-sampled to the size of `x`.
      shift: like `scale`.
      upsampling: of scale and shift.

    Returns:
      The result, with the shape and type of `x`.
    """
    scale, shift = tf.cast(scale, x.dtype), tf.cast(shift, x.dtype)
    if scale.shape[1] > 1:
        factor = x.shape[1] // scale.shape[1]
        scale, shift = upsampling(scale, factor), upsampling(shift, factor)
    return x * scale + shift
