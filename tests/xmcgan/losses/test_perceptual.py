import numpy as np
import tensorflow as tf

from xmcgan.losses import perceptual


def test_is_the_squared_distance_averaged_over_the_batch():
    real = tf.constant([[1.0, 2.0], [0.0, 0.0]])
    fake = tf.constant([[4.0, 6.0], [0.0, 1.0]])
    assert perceptual.perceptual_loss(real, fake).numpy() == (25.0 + 1.0) / 2


def test_is_zero_for_equal_features():
    features = tf.random.stateless_normal([3, 5], seed=[0, 0])
    assert perceptual.perceptual_loss(features, features).numpy() == 0.0


def test_gradient_agrees_with_finite_differences():
    rng = np.random.default_rng(0)
    real, fake = tf.constant(rng.normal(size=[3, 4])), tf.constant(rng.normal(size=[3, 4]))  # float64
    theoretical, numerical = tf.test.compute_gradient(lambda x: perceptual.perceptual_loss(real, x), [fake])
    np.testing.assert_allclose(theoretical[0], numerical[0], rtol=1e-5, atol=1e-8)
