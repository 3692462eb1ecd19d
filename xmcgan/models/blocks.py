"""The residual blocks of the paper's Fig. 6 (b) and (c).

Convolutions next to a change of resolution are computed at the smaller size: a 1 x 1 convolution commutes with
up-sampling and with average pooling, and a 3 x 3 convolution merges with them (see `resampling`).
"""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

from xmcgan.models.modulation import Condition, FeatureMap, SelfModulation, Statistics, batch_statistics, measured
from xmcgan.models.recomputation import Wrapper, keep
from xmcgan.models.resampling import Upsampling, downsample, upsample, upsample_and_convolve
from xmcgan.models.spectral_norm import Parameters, SpectralConv2D


def conv(filters: int, kernel_size: int, name: str) -> tf.keras.layers.Conv2D:
    """Makes a convolution of the generator: 'same' padding, Glorot normal kernel, zero bias."""
    return tf.keras.layers.Conv2D(filters, kernel_size, padding="same", kernel_initializer="glorot_normal", name=name)


class UpsamplingConv2D(tf.keras.layers.Conv2D):
    """Nearest up-sampling by 2, then a 3 x 3 convolution like those of `conv`."""

    def __init__(self, filters: int, **kwargs):
        """Makes the layer with `filters` output channels."""
        super().__init__(filters, 3, padding="same", kernel_initializer="glorot_normal", **kwargs)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Up-samples and convolves: [batch, size, size, channels] -> [batch, 2 size, 2 size, filters]."""
        return tf.nn.bias_add(upsample_and_convolve(x, self.kernel), self.bias)


class GeneratorBlock(tf.keras.layers.Layer):
    """ResBlock up: [batch, size, size, channels] -> [batch, 2 size, 2 size, filters] (Fig. 6 b).

    The block has two stages, each from one batch normalization to the next. A stage can be computed for one part of the
    batch at a time, and can be recomputed.
    """

    def __init__(
        self,
        filters: int,
        modulation: Callable[[str], SelfModulation],
        upsampling: Upsampling = upsample,
        **kwargs,
    ):
        """Makes the block.

        Args:
          filters: channels of the output.
          modulation: makes a modulation layer of a given name; decides what the block is conditioned on.
          upsampling: of the shortcut, one of `resampling.UPSAMPLING`; the edges of repeated pixels would pass through
            the shortcuts to the image, where no 3 x 3 convolution smooths them.
          **kwargs: see `tf.keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.upsampling = upsampling
        self.modulation_0 = modulation("modulation_0")
        self.conv_0 = UpsamplingConv2D(filters, name="conv_0")
        self.modulation_1 = modulation("modulation_1")
        self.conv_1 = conv(filters, 3, "conv_1")
        self.shortcut = conv(filters, 1, "shortcut")

    def call(
        self, x: tf.Tensor, moments: tf.Tensor | None, condition: Condition, wrap: Wrapper = keep
    ) -> tuple[FeatureMap, list[Statistics | None]]:
        """Runs both stages.

        Args:
          x: [batch, size, size, channels].
          moments: the moments of `x`, see `FeatureMap`; None normalizes by the moving averages.
          condition: what the modulations depend on.
          wrap: applied to each stage, to save memory: `keep` or `recompute`.

        Returns:
          The output, with its moments if those of `x` are given, and the statistics of both modulations.
        """
        statistics_0 = batch_statistics(self.modulation_0, moments)
        h = wrap(self._enlarge)(x, condition, statistics=statistics_0)
        statistics_1 = batch_statistics(self.modulation_1, h.moments)
        output = wrap(self._refine)(h.value, x, condition, statistics=statistics_1)
        return output, [statistics_0, statistics_1]

    @measured
    def _enlarge(self, x: tf.Tensor, condition: Condition, statistics: Statistics | None) -> tf.Tensor:
        h = tf.nn.relu(self.modulation_0(x, condition, statistics))
        return self.conv_0(h)  # Up-samples first.

    @measured
    def _refine(self, h: tf.Tensor, x: tf.Tensor, condition: Condition, statistics: Statistics | None) -> tf.Tensor:
        h = tf.nn.relu(self.modulation_1(h, condition, statistics))
        return self.conv_1(h) + self.upsampling(self.shortcut(x), 2)


class DiscriminatorBlock(tf.keras.layers.Layer):
    """ResBlock down, or without change of size (Fig. 6 c).

    [batch, size, size, channels] -> [batch, size / 2, size / 2, filters], or [batch, size, size, filters].
    """

    def __init__(self, filters: int, epsilon: float, *, down: bool = True, first: bool = False, **kwargs):
        """Makes the block.

        Args:
          filters: channels of the output.
          epsilon: added to the norms in spectral normalization.
          down: whether to halve the resolution.
          first: whether the input is the image itself, to which no ReLU is applied.
          **kwargs: see `tf.keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.down = down
        self.first = first
        self.epsilon = epsilon
        self.conv_0 = SpectralConv2D(filters, 3, epsilon, name="conv_0")
        self.conv_1 = SpectralConv2D(filters, 3, epsilon, down=down, name="conv_1")
        self.shortcut: SpectralConv2D | None = None

    def build(self, input_shape) -> None:
        """Makes the shortcut's convolution, if the shape changes."""
        if self.down or input_shape[-1] != self.conv_1.filters:
            self.shortcut = SpectralConv2D(self.conv_1.filters, 1, self.epsilon, name="shortcut")

    def parameters(self, training: bool) -> dict[str, Parameters]:
        """Returns the parameters of the block's convolutions by name, see `SpectralNormalization.parameters`."""
        layers = (self.conv_0, self.conv_1, *([self.shortcut] if self.shortcut else []))
        return {layer.name: layer.parameters(training) for layer in layers}

    def call(self, x: tf.Tensor, parameters: dict[str, Parameters] | None = None) -> tf.Tensor:
        """Runs the block.

        Args:
          x: [batch, size, size, channels].
          parameters: see the method `parameters`; None lets each convolution make its own for this call.

        Returns:
          [batch, size / 2, size / 2, filters], or [batch, size, size, filters].
        """
        parameters = parameters or {}
        h = x if self.first else tf.nn.relu(x)
        h = self.conv_0(h, parameters.get("conv_0"))
        h = self.conv_1(tf.nn.relu(h), parameters.get("conv_1"))  # Down-samples last.
        if self.down:
            x = downsample(x)
        if self.shortcut is not None:
            x = self.shortcut(x, parameters.get("shortcut"))
        return h + x
