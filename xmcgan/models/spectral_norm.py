"""Spectral normalization of convolutions and dense layers, as a true reparametrization.

Only the optimizer changes the layer's kernel W; the forward pass uses W / sigma(W), where sigma is the largest singular
value of W as an [inputs, outputs] matrix. Gradients flow through sigma, so the kernel's gradient is that of the
normalized layer (Miyato et al. 2018, eq. 12). The layers of TensorFlow Addons and Keras instead overwrite the kernel
and stop the gradient at sigma.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.models.resampling import convolve_and_downsample


class Parameters(NamedTuple):
    """The normalized kernel and the bias of a layer, in full precision."""

    kernel: tf.Tensor  # Has spectral norm 1, as far as the power iteration has converged
    bias: tf.Tensor


class SpectralNormalization:
    """Mixin for a Keras layer with a `kernel` whose last axis is its outputs.

    The only state is u, the estimate of the leading right-singular vector. `parameters` takes one step of power
    iteration; u and v are constants to the gradient. Called with the parameters of a step, a layer has no side effects,
    so that several forward passes (of parts of a batch, or recomputed) share one power iteration and one division.
    """

    name: str
    kernel: tf.Variable
    bias: tf.Variable
    epsilon: float

    def add_weight(self, *args, **kwargs):
        """Adds a weight that Keras does not cast in mixed precision: the layer reads it in full precision."""
        return super().add_weight(*args, **{**kwargs, "experimental_autocast": False})  # type: ignore[misc]

    def _build_power_iteration(self, outputs: int) -> None:
        self.u = self.add_weight(
            "u",
            shape=[1, outputs],
            initializer=tf.keras.initializers.RandomNormal(stddev=0.01),
            trainable=False,
            # All replicas have equal kernels, so their u are equal by construction: no need to communicate.
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def parameters(self, training: bool) -> Parameters:
        """Returns the parameters for the forward passes of a step; advances the power iteration if `training`."""
        return Parameters(self.normalized_kernel(training), tf.convert_to_tensor(self.bias))

    def normalized_kernel(self, training: bool) -> tf.Tensor:
        """Returns the kernel divided by its spectral norm, with the shape and type of `kernel`."""
        matrix = tf.reshape(self.kernel, [-1, self.kernel.shape[-1]])  # [inputs, outputs]
        fixed = tf.stop_gradient(matrix)
        v = self._unit(tf.matmul(self.u, fixed, transpose_b=True))  # [1, inputs]
        along_v = tf.matmul(v, fixed)  # [1, outputs]
        u = self._unit(along_v)
        if training:
            self.u.assign(u)
        sigma = tf.reduce_sum(along_v * u)
        return tf.reshape(_divide(matrix, sigma, v, u), self.kernel.shape)

    def _unit(self, x: tf.Tensor) -> tf.Tensor:
        return x / (tf.norm(x) + self.epsilon)


def _divide(matrix: tf.Tensor, sigma: tf.Tensor, v: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Computes `matrix / sigma` for constant u and v, where sigma = v matrix u^T; [inputs, outputs].

    The custom gradient (Miyato et al. 2018, eq. 12) reads the large kernels half as often as the automatic one.
    """

    @tf.custom_gradient
    def divide(matrix: tf.Tensor):
        normalized = matrix / sigma

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            through_sigma = tf.tensordot(upstream, normalized, 2)
            return upstream / sigma - tf.matmul(v * (through_sigma / sigma), u, transpose_a=True)

        return normalized, gradient

    return divide(matrix)


class SpectralConv2D(SpectralNormalization, tf.keras.layers.Conv2D):
    """`Conv2D` ('same' padding, stride 1, Glorot normal kernel) under spectral normalization."""

    def __init__(self, filters: int, kernel_size: int, epsilon: float, down: bool = False, **kwargs):
        """Makes the layer.

        Args:
          filters: channels of the output.
          kernel_size: pixels per side.
          epsilon: added to the norms of u and v.
          down: whether the output is averaged over 2 x 2 pixels (3 x 3 kernels only).
          **kwargs: see `tf.keras.layers.Layer`.
        """
        super().__init__(filters, kernel_size, padding="same", kernel_initializer="glorot_normal", **kwargs)
        self.epsilon = epsilon
        self.down = down

    def build(self, input_shape) -> None:
        """Makes the kernel, the bias and u."""
        super().build(input_shape)
        self._build_power_iteration(self.filters)

    def call(self, x: tf.Tensor, parameters: Parameters | None = None, training: bool = False) -> tf.Tensor:
        """Convolves: [batch, size, size, channels] -> [batch, size, size, filters], or half that size."""
        kernel, bias = parameters or self.parameters(training)
        kernel, bias = tf.cast(kernel, x.dtype), tf.cast(bias, x.dtype)
        convolved = convolve_and_downsample(x, kernel) if self.down else tf.nn.conv2d(x, kernel, 1, "SAME")
        return tf.nn.bias_add(convolved, bias)


class SpectralDense(SpectralNormalization, tf.keras.layers.Dense):
    """`Dense` (Glorot normal kernel) under spectral normalization."""

    def __init__(self, units: int, epsilon: float, **kwargs):
        """Makes the layer.

        Args:
          units: width of the output.
          epsilon: added to the norms of u and v.
          **kwargs: see `tf.keras.layers.Layer`.
        """
        super().__init__(units, kernel_initializer="glorot_normal", **kwargs)
        self.epsilon = epsilon

    def build(self, input_shape) -> None:
        """Makes the kernel, the bias and u."""
        super().build(input_shape)
        self._build_power_iteration(self.units)

    def call(self, x: tf.Tensor, parameters: Parameters | None = None, training: bool = False) -> tf.Tensor:
        """Applies the layer: [batch, channels] -> [batch, units]."""
        kernel, bias = parameters or self.parameters(training)
        return tf.nn.bias_add(tf.matmul(x, tf.cast(kernel, x.dtype)), tf.cast(bias, x.dtype))
