import warnings

import numpy as np
import pytest
import tensorflow as tf

from xmcgan.models.spectral_norm import SpectralConv2D, SpectralDense

EPSILON = 1e-10
# A layer and the shape of its inputs, for each form of the mixin.
LAYERS = {
    "dense": (lambda **kwargs: SpectralDense(4, EPSILON, **kwargs), [2, 7]),
    "conv": (lambda **kwargs: SpectralConv2D(4, 3, EPSILON, **kwargs), [2, 8, 8, 3]),
    "conv_down": (lambda **kwargs: SpectralConv2D(4, 3, EPSILON, down=True, **kwargs), [2, 8, 8, 3]),
}


@pytest.fixture(params=LAYERS)
def layer_and_input(request):
    make, shape = LAYERS[request.param]
    tf.keras.utils.set_random_seed(3)
    layer = make(dtype="float64")
    layer.build(shape)
    layer.bias.assign([0.1, -0.2, 0.3, 0.0])
    return layer, tf.constant(np.random.default_rng(0).normal(size=shape))


def _largest_singular_value(kernel):
    return np.linalg.svd(np.reshape(kernel, [-1, np.shape(kernel)[-1]]), compute_uv=False)[0]


def _converge(layer, x, steps=300):
    for _ in range(steps):
        layer(x, training=True)


def test_converges_to_the_largest_singular_value(layer_and_input):
    layer, x = layer_and_input
    before = layer.kernel.numpy()
    _converge(layer, x)
    np.testing.assert_array_equal(layer.kernel, before)  # The trained kernel stays the optimizer's.
    used = layer.normalized_kernel(training=False).numpy()
    np.testing.assert_allclose(used * _largest_singular_value(before), before, rtol=1e-8)
    np.testing.assert_allclose(_largest_singular_value(used), 1.0, rtol=1e-8)


def test_output_is_that_of_the_normalized_kernel(layer_and_input):
    layer, x = layer_and_input
    _converge(layer, x)
    kernel = layer.kernel.numpy() / _largest_singular_value(layer.kernel)
    if x.shape.rank == 2:
        expected = x.numpy() @ kernel
    else:
        expected = tf.nn.conv2d(x, kernel, 1, "SAME")
        if layer.down:
            expected = tf.reshape(expected, [2, 4, 2, 4, 2, 4]).numpy().mean(axis=(2, 4))
    for training in (True, False):
        np.testing.assert_allclose(layer(x, training=training), expected + layer.bias, atol=1e-8)


def test_only_training_advances_the_power_iteration(layer_and_input):
    layer, x = layer_and_input
    start = layer.u.numpy()
    first, second = layer(x, training=False), layer(x, training=False)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(layer.u, start)
    layer(x, training=True)
    matrix = np.reshape(layer.kernel, [-1, 4])
    expected = start @ matrix.T @ matrix
    np.testing.assert_allclose(layer.u, expected / np.linalg.norm(expected), rtol=1e-6)


def test_gradient_flows_through_sigma(layer_and_input):
    layer, x = layer_and_input
    _converge(layer, x)
    weights = np.random.default_rng(1).normal(size=layer.kernel.shape)
    direction = np.random.default_rng(2).normal(size=layer.kernel.shape)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(weights * layer.normalized_kernel(training=False))
    gradient = tape.gradient(value, layer.kernel)

    def exact(kernel):
        return np.sum(weights * kernel / _largest_singular_value(kernel))

    kernel, step = layer.kernel.numpy(), 1e-6
    expected = (exact(kernel + step * direction) - exact(kernel - step * direction)) / (2 * step)
    np.testing.assert_allclose(np.sum(gradient * direction), expected, rtol=1e-6)
    # A true reparametrization does not see the kernel's scale.
    np.testing.assert_allclose(np.sum(gradient * kernel), 0.0, atol=1e-8)


def test_the_only_state_is_u(layer_and_input):
    layer, _ = layer_and_input
    assert [variable.shape for variable in layer.non_trainable_variables] == [(1, 4)]
    assert {variable.name.split("/")[-1] for variable in layer.trainable_variables} == {"kernel:0", "bias:0"}


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_one_step_agrees_with_tensorflow_addons(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It announces its end of life.
        addons = pytest.importorskip("tensorflow_addons", reason="TensorFlow Addons runs on TensorFlow 2.15 only")
    make, shape = LAYERS[kind]
    ours, x = make(), tf.random.stateless_normal(shape, [0, 0])
    plain = tf.keras.layers.Dense(4) if kind == "dense" else tf.keras.layers.Conv2D(4, 3, padding="same")
    theirs = addons.layers.SpectralNormalization(plain, power_iterations=1)
    ours.build(shape)
    theirs.build(shape)
    ours.kernel.assign(theirs.w)
    ours.u.assign(theirs.u)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours.u, theirs.u, rtol=1e-4, atol=1e-6)
