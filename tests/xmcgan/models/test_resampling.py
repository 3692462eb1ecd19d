import numpy as np
import pytest
import tensorflow as tf

from xmcgan.models.resampling import (
    convolve_and_downsample,
    downsample,
    upsample,
    upsample_and_convolve,
    upsample_bilinearly,
)

SIZES = [4, 8, 16, 32, 64]  # On both sides of where the merged forms begin, 16 and 32.


def _random(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def _value_and_gradients(function, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = function(*inputs)
        weighted = tf.reduce_sum(y * tf.cast(_random(*y.shape, seed=9), y.dtype))
    return [y, *tape.gradient(weighted, inputs)]


def _assert_same(function, expected, *inputs):
    for ours, theirs in zip(_value_and_gradients(function, *inputs), _value_and_gradients(expected, *inputs)):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_upsample_repeats_pixels(factor):
    layer = tf.keras.layers.UpSampling2D(factor, interpolation="nearest", dtype="float64")
    _assert_same(lambda x: upsample(x, factor), layer, _random(2, 4, 6, 3))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_upsample_bilinearly_is_the_resize_of_tensorflow(factor):
    x = tf.cast(_random(2, 16, 8, 3), tf.float32)  # TensorFlow's resize returns float32.
    expected = _value_and_gradients(lambda x: tf.image.resize(x, [16 * factor, 8 * factor]) + 0.0, x)
    for ours, theirs in zip(_value_and_gradients(lambda x: upsample_bilinearly(x, factor), x), expected):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_downsample_averages_pixels():
    _assert_same(downsample, tf.keras.layers.AveragePooling2D(dtype="float64"), _random(2, 4, 6, 3))


@pytest.mark.parametrize("size", SIZES)
def test_upsample_and_convolve(size):
    layer = tf.keras.layers.UpSampling2D(dtype="float64")
    _assert_same(
        upsample_and_convolve,
        lambda x, kernel: tf.nn.conv2d(layer(x), kernel, 1, "SAME"),
        _random(2, size, size, 3),
        _random(3, 3, 3, 2, seed=1),
    )


@pytest.mark.parametrize("size", SIZES)
def test_convolve_and_downsample(size):
    layer = tf.keras.layers.AveragePooling2D(dtype="float64")
    _assert_same(
        convolve_and_downsample,
        lambda x, kernel: layer(tf.nn.conv2d(x, kernel, 1, "SAME")),
        _random(2, size, size, 3),
        _random(3, 3, 3, 2, seed=1),
    )


@pytest.mark.parametrize("function, size", [(upsample_and_convolve, 16), (convolve_and_downsample, 32)])
def test_traces_with_an_unknown_batch(function, size):
    x, kernel = _random(3, size, size, 2), _random(3, 3, 2, 2, seed=1)
    signature = [tf.TensorSpec([None, size, size, 2], x.dtype), tf.TensorSpec(kernel.shape, x.dtype)]
    traced = tf.function(function, input_signature=signature)
    np.testing.assert_allclose(traced(x, kernel), function(x, kernel), atol=1e-12)
