import types

import numpy as np
import pytest
import tensorflow as tf

from xmcgan.models.blocks import DiscriminatorBlock, GeneratorBlock
from xmcgan.models.modulation import Condition
from xmcgan.models.resampling import UPSAMPLING

EPSILON = 1e-10
CHANNELS, FILTERS = 3, 2


class _Shift(tf.keras.layers.Layer):
    """Stands in for a modulation: adds the condition and a constant of its own, and notes what statistics it is given.

    Its statistics are the moments.
    """

    def __init__(self, name):
        super().__init__(name=name)
        self.own = 0.5 if name == "modulation_0" else -0.5
        self.seen = []
        self.statistics = types.SimpleNamespace(from_moments=lambda moments: moments)

    def call(self, x, condition, statistics):
        self.seen.append(statistics)
        return x + condition.vector[:, None, None, :] + self.own


def _random(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def _randomize(layer):
    for i, variable in enumerate(layer.trainable_variables):
        variable.assign(_random(*variable.shape, seed=20 + i))


def _conv(x, kernel, bias):
    return tf.nn.conv2d(x, kernel, 1, "SAME") + bias


@pytest.mark.parametrize("size", [4, 16])  # 16 is merged with its up-sampling.
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_generator_block_is_that_of_figure_6b(size, upsampling, float64):
    block = GeneratorBlock(FILTERS, _Shift, UPSAMPLING[upsampling])
    x, condition = _random(2, size, size, CHANNELS), Condition(_random(2, 1, seed=1))
    block(x, None, condition)
    _randomize(block)

    up = tf.keras.layers.UpSampling2D(interpolation="nearest")
    h = up(tf.nn.relu(x + condition.vector[:, None, None, :] + 0.5))
    h = _conv(h, block.conv_0.kernel, block.conv_0.bias)
    h = _conv(tf.nn.relu(h + condition.vector[:, None, None, :] - 0.5), block.conv_1.kernel, block.conv_1.bias)
    up = tf.keras.layers.UpSampling2D(interpolation=upsampling)
    expected = h + _conv(tf.cast(up(x), x.dtype), block.shortcut.kernel, block.shortcut.bias)
    output, _ = block(x, None, condition)
    # Keras' bilinear up-sampling returns float32.
    np.testing.assert_allclose(output.value, expected, atol=1e-10 if upsampling == "nearest" else 1e-5)


def test_generator_block_normalizes_by_its_batch_in_training(float64):
    block = GeneratorBlock(FILTERS, _Shift)
    x, condition = _random(2, 4, 4, CHANNELS), Condition(_random(2, 1, seed=1))
    block(x, None, condition)
    assert (block.modulation_0.seen, block.modulation_1.seen) == ([None], [None])

    moments, between = tf.zeros([1, 2, CHANNELS], x.dtype), []
    call = block.conv_0.call
    block.conv_0.call = lambda x: (between.append(call(x)), between[-1])[1]
    output, statistics = block(x, moments, condition)
    assert statistics[0] is moments
    for found, value in ((statistics[1], between[0]), (output.moments, output.value)):
        expected = [np.mean(value, axis=(0, 1, 2)), np.mean(np.square(value), axis=(0, 1, 2))]
        np.testing.assert_allclose(found, [expected], atol=1e-12)
    assert block.modulation_1.seen[-1] is statistics[1]


def _settle(layer):
    """Gives u its limit and returns the kernel over its largest singular value, both from an SVD."""
    matrix = np.reshape(layer.kernel, [-1, layer.kernel.shape[-1]])
    _, sigma, right = np.linalg.svd(matrix, full_matrices=False)
    layer.u.assign(right[:1])
    return layer.kernel.numpy() / sigma[0]


@pytest.mark.parametrize("size", [8, 32])  # 32 is merged with its down-sampling.
@pytest.mark.parametrize("down, first", [(True, True), (True, False), (False, False)])
def test_discriminator_block_is_that_of_figure_6c(size, down, first, float64):
    block = DiscriminatorBlock(FILTERS, EPSILON, down=down, first=first)
    x = _random(2, size, size, CHANNELS)
    block(x)
    _randomize(block)
    kernel_0, kernel_1, kernel_shortcut = (_settle(layer) for layer in (block.conv_0, block.conv_1, block.shortcut))

    h = _conv(x if first else tf.nn.relu(x), kernel_0, block.conv_0.bias)
    h = _conv(tf.nn.relu(h), kernel_1, block.conv_1.bias)
    expected = h + _conv(x, kernel_shortcut, block.shortcut.bias)
    if down:
        expected = tf.keras.layers.AveragePooling2D()(expected)
    np.testing.assert_allclose(block(x, training=True), expected, atol=1e-8)


def test_the_shortcut_is_bare_where_nothing_changes(float64):
    block = DiscriminatorBlock(CHANNELS, EPSILON, down=False)
    x = -tf.abs(_random(2, 4, 4, CHANNELS))  # The ReLU of the other branch leaves only biases, which are zero.
    np.testing.assert_array_equal(block(x), x)
    assert block.shortcut is None
