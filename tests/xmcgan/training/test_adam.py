import numpy as np
import pytest
import tensorflow as tf

from xmcgan.training.state import Adam

# Exact in single precision, in which the optimizer holds them.
RATE, BETA_1, BETA_2 = 2.0**-7, 0.5, 1 - 2.0**-10


def _published(start, gradients, epsilon):
    """Algorithm 1 of Kingma and Ba."""
    theta, m, v = np.array(start, np.float64), 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        m = BETA_1 * m + (1 - BETA_1) * gradient
        v = BETA_2 * v + (1 - BETA_2) * gradient**2
        m_hat, v_hat = m / (1 - BETA_1**t), v / (1 - BETA_2**t)
        theta = theta - RATE * m_hat / (np.sqrt(v_hat) + epsilon)
    return theta


def _ours(start, gradients, epsilon, compiled=False):
    variable = tf.Variable(start)
    optimizer = Adam(RATE, BETA_1, BETA_2, epsilon, jit_compile=False)
    optimizer.build([variable])
    step = lambda gradient: optimizer.apply_gradients([(gradient, variable)])  # noqa: E731
    step = tf.function(step) if compiled else step
    for gradient in gradients:
        step(tf.constant(gradient, variable.dtype))
    assert optimizer.iterations == len(gradients)
    return variable.numpy()


# A large epsilon shows where it is added; small gradients, when.
@pytest.mark.parametrize("epsilon, scale", [(1e-8, 1.0), (0.3, 1.0), (1e-8, 1e-7), (1e-8, 1e-9)])
@pytest.mark.parametrize("compiled", [False, True])
def test_steps_are_the_published_ones(epsilon, scale, compiled):
    rng = np.random.default_rng(0)
    start, gradients = np.array([1.0, -2.0, 0.5]), scale * rng.normal(size=[7, 3])
    expected = _published(start, gradients, epsilon)
    np.testing.assert_allclose(_ours(start, gradients, epsilon, compiled) - start, expected - start, rtol=1e-9)


def test_single_precision():
    rng = np.random.default_rng(0)
    start, gradients = np.float32([0.1, -0.2, 0.05]), rng.normal(size=[20, 3]).astype(np.float32)
    np.testing.assert_allclose(_ours(start, gradients, 1e-8), _published(start, gradients, 1e-8), rtol=1e-4)


def test_keeps_two_moments():
    variable = tf.Variable([1.0, 2.0])
    optimizer = Adam(RATE, BETA_1, BETA_2, 1e-8, jit_compile=False)
    optimizer.build([variable])
    shapes = [tuple(v.shape) for v in optimizer.variables]
    assert sorted(shapes) == [(), (2,), (2,)]  # Iterations and the moments.
