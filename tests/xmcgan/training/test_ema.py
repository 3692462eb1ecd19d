import numpy as np
import pytest
import tensorflow as tf

from xmcgan.training.state import copy_variables, decay_at, update_average


class _Model(tf.keras.Model):
    """Two trainable weights and one moving statistic."""

    def __init__(self, kernel, bias, statistic):
        super().__init__()
        self.kernel = tf.Variable(kernel)
        self.bias = tf.Variable(bias)
        self.statistic = tf.Variable(statistic, trainable=False)


def test_average_is_the_hand_sum():
    decay = 0.9
    average, source = _Model([1.0, 2.0], 3.0, 4.0), _Model([0.0, 0.0], 0.0, 0.0)
    kernels = np.array([[2.0, -1.0], [0.5, 0.0], [3.0, 8.0]])
    for i, kernel in enumerate(kernels):
        source.kernel.assign(kernel)
        source.bias.assign(float(i))
        source.statistic.assign(10.0 + i)
        update_average(average, source, decay)
    weights = [decay**3, 0.1 * decay**2, 0.1 * decay, 0.1]
    expected = np.dot(weights, [[1.0, 2.0], *kernels])
    np.testing.assert_allclose(average.kernel, expected, rtol=1e-6)
    np.testing.assert_allclose(average.bias, np.dot(weights, [3.0, 0.0, 1.0, 2.0]), rtol=1e-6)
    assert average.statistic == 12.0  # Moving statistics are averages already.
    np.testing.assert_array_equal(source.kernel, kernels[-1])


@pytest.mark.parametrize("decay, expected", [(0.0, [5.0, 7.0]), (0.999, [1.004, 2.005])])
def test_decay_is_how_much_stays(decay, expected):
    average, source = _Model([1.0, 2.0], 0.0, 0.0), _Model([5.0, 7.0], 0.0, 0.0)
    tf.function(lambda: update_average(average, source, decay))()
    np.testing.assert_allclose(average.kernel, expected, rtol=1e-6)


def test_copy():
    average, source = _Model([1.0, 2.0], 3.0, 4.0), _Model([5.0, 6.0], 7.0, 8.0)
    copy_variables(average.variables, source.variables)
    for target, value in zip(average.variables, source.variables):
        np.testing.assert_array_equal(target, value)
    source.kernel.assign([0.0, 0.0])
    np.testing.assert_array_equal(average.kernel, [5.0, 6.0])


def test_a_warm_up_soon_forgets_the_first_weights():
    decays = [float(decay_at(tf.constant(step, tf.int64), 0.999)) for step in (0, 90, 8981, 10**6)]
    np.testing.assert_allclose(decays, [0.1, 0.91, 8982 / 8991, 0.999], rtol=1e-6)
