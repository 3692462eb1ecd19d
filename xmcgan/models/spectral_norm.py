"""Spectral normalisation of convolutions and dense layers, as a true reparametrisation.

The layer's kernel W stays what the optimiser makes it; the forward pass uses W / sigma(W), with sigma the largest
singular value of W seen as an [inputs, outputs] matrix. Gradients flow through sigma, so the kernel's gradient is
that of the normalised layer (Miyato et al. 2018, eq. 12). The layers of TensorFlow Addons and Keras overwrite the
kernel instead and stop the gradient at sigma.
"""

from __future__ import annotations

import tensorflow as tf

from xmcgan.models.resampling import convolve_and_downsample


class SpectralNormalization:
    """Mixin for a Keras layer with a `kernel` whose last axis is its outputs.

    The estimate u of the leading right-singular vector is the only state. It takes one step of power iteration in
    every training forward; u and v are constants to the gradient.
    """

    def _build_power_iteration(self, outputs: int) -> None:
        self.u = self.add_weight(
            "u",
            shape=[1, outputs],
            initializer=tf.keras.initializers.RandomNormal(stddev=0.01),
            trainable=False,
            # Replicas see equal kernels, so their u are equal by construction: no need to communicate.
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            experimental_autocast=False,
        )

    def normalized_kernel(self, training: bool) -> tf.Tensor:
        """The kernel divided by its spectral norm; shape and dtype of `kernel`."""
        matrix = tf.reshape(self.kernel, [-1, self.kernel.shape[-1]])  # [inputs, outputs]
        fixed = tf.stop_gradient(matrix)
        v = self._unit(tf.matmul(self.u, fixed, transpose_b=True))  # [1, inputs]
        u = self._unit(tf.matmul(v, fixed))  # [1, outputs]
        if training:
            self.u.assign(u)
        sigma = tf.matmul(tf.matmul(v, matrix), u, transpose_b=True)  # [1, 1]
        return self.kernel / tf.reshape(sigma, [])

    def _unit(self, x: tf.Tensor) -> tf.Tensor:
        return x / (tf.norm(x) + self.epsilon)


class SpectralConv2D(SpectralNormalization, tf.keras.layers.Conv2D):
    """`Conv2D` ('same' padding, stride 1, Glorot normal kernel) under spectral normalisation."""

    def __init__(self, filters: int, kernel_size: int, epsilon: float, down: bool = False, **kwargs):
        """Args:
        filters: channels of the output.
        kernel_size: pixels a side.
        epsilon: added to the norms of u and v.
        down: the output is averaged over 2 x 2 pixels (3 x 3 kernels only).
        """
        super().__init__(filters, kernel_size, padding="same", kernel_initializer="glorot_normal", **kwargs)
        self.epsilon = epsilon
        self.down = down

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self._build_power_iteration(self.filters)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """[batch, size, size, channels] -> [batch, size, size, filters], or half that size."""
        convolve = convolve_and_downsample if self.down else self.convolution_op
        return tf.nn.bias_add(convolve(x, self.normalized_kernel(training)), self.bias)


class SpectralDense(SpectralNormalization, tf.keras.layers.Dense):
    """`Dense` (Glorot normal kernel) under spectral normalisation."""

    def __init__(self, units: int, epsilon: float, **kwargs):
        super().__init__(units, kernel_initializer="glorot_normal", **kwargs)
        self.epsilon = epsilon

    def build(self, input_shape) -> None:
        super().build(input_shape)
        self._build_power_iteration(self.units)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """[batch, channels] -> [batch, units]."""
        return tf.nn.bias_add(tf.matmul(x, self.normalized_kernel(training)), self.bias)
