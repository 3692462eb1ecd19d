import numpy as np
import pytest
import tensorflow as tf

from xmcgan.models.modulation import AttentionalSelfModulation, Condition, SelfModulation, feature_map
from xmcgan.models.resampling import UPSAMPLING

MOMENTUM, EPSILON = 0.9, 1e-5
BATCH, SIZE, CHANNELS, CONDITION, DIM = 3, 32, 2, 4, 5


def _random(*shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


def _statistics(layer, *parts):
    """The statistics of a batch that came in parts."""
    return layer.statistics.from_moments(tf.concat([feature_map(tf.constant(x), True).moments for x in parts], axis=0))


@pytest.fixture(params=["self", "attentional"])
def case(request, float64):
    """A layer with random parameters, a feature map, its condition, and gamma and beta at the map's own size."""
    kind = AttentionalSelfModulation if request.param == "attentional" else SelfModulation
    layer = kind(MOMENTUM, EPSILON, replicas_per_group=0)
    x = 2.0 + 3.0 * _random(BATCH, SIZE, SIZE, CHANNELS, seed=0)
    vector = _random(BATCH, CONDITION, seed=1)
    context = _random(BATCH, 16, 16, DIM, seed=2) if request.param == "attentional" else None
    condition = Condition(tf.constant(vector), None if context is None else tf.constant(context))
    layer(tf.constant(x), condition)
    for i, variable in enumerate(layer.trainable_variables):
        variable.assign(_random(*variable.shape, seed=10 + i))

    # The condition of every pixel: [word context, projected e_s and z].
    whole = np.broadcast_to(vector[:, None, None, :], [BATCH, SIZE, SIZE, CONDITION])
    if context is not None:
        whole = np.concatenate([context.repeat(SIZE // 16, axis=1).repeat(SIZE // 16, axis=2), whole], axis=-1)
    gamma, beta = (whole @ part.kernel.numpy() + part.bias.numpy() for part in (layer.gamma, layer.beta))
    return layer, x, condition, gamma, beta


def test_training_uses_the_batch(case):
    layer, x, condition, gamma, beta = case
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    expected = (x - mean) / np.sqrt(variance + EPSILON) * (1 + gamma) + beta
    np.testing.assert_allclose(layer(tf.constant(x), condition, _statistics(layer, x)), expected, atol=1e-9)
    in_parts = layer(tf.constant(x), condition, _statistics(layer, x[:1], x[1:2], x[2:]))
    np.testing.assert_allclose(in_parts, expected, atol=1e-9)


def test_moving_averages_follow_the_biased_statistics(case):
    layer, x, _, _, _ = case
    mean, variance = np.zeros(CHANNELS), np.ones(CHANNELS)
    for i in range(3):
        batch = (i + 1) * x + i
        layer.statistics.update_moving_averages(_statistics(layer, batch))
        mean = MOMENTUM * mean + (1 - MOMENTUM) * batch.mean(axis=(0, 1, 2))
        variance = MOMENTUM * variance + (1 - MOMENTUM) * batch.var(axis=(0, 1, 2))
    np.testing.assert_allclose(layer.statistics.moving_mean, mean, rtol=1e-9)
    np.testing.assert_allclose(layer.statistics.moving_variance, variance, rtol=1e-9)


def test_averages_follow_parts_with_statistics_of_their_own_as_one_batch(case):
    layer, x, _, _, _ = case
    apart = [_statistics(layer, part + i) for i, part in enumerate(x[:, None])]
    layer.statistics.update_moving_averages(type(apart[0])(*(tf.concat(rows, axis=0) for rows in zip(*apart))))
    whole = x + np.arange(BATCH)[:, None, None, None]
    mean, variance = (0.1 * whole.mean(axis=(0, 1, 2)), 0.9 + 0.1 * whole.var(axis=(0, 1, 2)))
    np.testing.assert_allclose(layer.statistics.moving_mean, mean, rtol=1e-9)
    np.testing.assert_allclose(layer.statistics.moving_variance, variance, rtol=1e-9)


def test_a_layer_has_no_effects(case):
    layer, x, condition, _, _ = case
    before = [variable.numpy() for variable in layer.non_trainable_variables]
    layer(tf.constant(x), condition, _statistics(layer, x))
    for variable, value in zip(layer.non_trainable_variables, before):
        np.testing.assert_array_equal(variable, value)


def test_inference_uses_the_averages(case):
    layer, x, condition, gamma, beta = case
    layer.statistics.moving_mean.assign([1.0, -2.0])
    layer.statistics.moving_variance.assign([4.0, 0.25])
    expected = (x - [1.0, -2.0]) / np.sqrt(np.array([4.0, 0.25]) + EPSILON) * (1 + gamma) + beta
    np.testing.assert_allclose(layer(tf.constant(x), condition), expected, atol=1e-9)
    # An image does not depend on its neighbors in the batch.
    alone = Condition(*(None if part is None else part[:1] for part in condition))
    np.testing.assert_allclose(layer(tf.constant(x[:1]), alone), expected[:1], atol=1e-9)
    np.testing.assert_array_equal(layer.statistics.moving_mean, [1.0, -2.0])


def test_attentional_is_a_convolution_of_the_concatenation():
    layer = AttentionalSelfModulation(MOMENTUM, EPSILON, replicas_per_group=0)
    x = tf.constant(_random(BATCH, SIZE, SIZE, CHANNELS, seed=0), tf.float32)
    vector = tf.constant(_random(BATCH, CONDITION, seed=1), tf.float32)
    context = tf.constant(_random(BATCH, 16, 16, DIM, seed=2), tf.float32)
    layer(x, Condition(vector, context))
    layer.gamma.bias.assign([0.5, -0.5])
    layer.beta.bias.assign([0.1, 0.2])

    tiled = tf.tile(vector[:, None, None, :], [1, 16, 16, 1])
    whole = tf.keras.layers.UpSampling2D(SIZE // 16)(tf.concat([context, tiled], axis=-1))
    gamma, beta = (
        tf.nn.conv2d(whole, linear.kernel[None, None], 1, "SAME") + linear.bias for linear in (layer.gamma, layer.beta)
    )
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    expected = tf.nn.batch_normalization(x, mean, variance, beta, 1.0 + gamma, EPSILON)
    np.testing.assert_allclose(layer(x, Condition(vector, context), _statistics(layer, x)), expected, atol=1e-4)


def test_smooth_contexts_are_a_bilinear_resize_of_scale_and_shift(float64):
    nearest, bilinear = (
        AttentionalSelfModulation(MOMENTUM, EPSILON, 0, UPSAMPLING[name]) for name in ("nearest", "bilinear")
    )
    condition = Condition(
        tf.constant(_random(BATCH, CONDITION, seed=1)), tf.constant(_random(BATCH, 16, 16, DIM, seed=2))
    )
    small, large = (tf.ones([BATCH, size, size, CHANNELS], tf.float64) for size in (16, SIZE))
    for layer in (nearest, bilinear):
        layer(small, condition)
        for i, variable in enumerate(layer.trainable_variables):
            variable.assign(_random(*variable.shape, seed=10 + i))
    # The output for a map of ones is scale + shift.
    np.testing.assert_array_equal(nearest(small, condition), bilinear(small, condition))
    expected = tf.image.resize(nearest(small, condition), [SIZE, SIZE])
    np.testing.assert_allclose(bilinear(large, condition), expected, atol=1e-4)
