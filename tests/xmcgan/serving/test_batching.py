import numpy as np
import pytest
import tensorflow as tf

from xmcgan.serving.batching import map_parts, part_function


@pytest.mark.parametrize("size, parts", [(0, []), (1, [1]), (4, [4]), (5, [4, 1]), (11, [4, 4, 3])])
def test_parts_are_put_together_again(size, parts):
    seen = []

    @part_function
    def double(x, names):
        tf.py_function(lambda rows: seen.append(int(rows)), [tf.shape(x)[0]], [])
        return [2.0 * x, tf.strings.join([names, "!"])]

    @tf.function(input_signature=[tf.TensorSpec([None, 2]), tf.TensorSpec([None], tf.string)])
    def all_of(x, names):
        return map_parts(double, [x, names], [tf.TensorSpec([None, 2]), tf.TensorSpec([None], tf.string)], at_once=4)

    x = np.arange(2 * size, dtype=np.float32).reshape(size, 2)
    doubled, named = all_of(x, tf.constant([f"{i}" for i in range(size)], tf.string, shape=[size]))
    np.testing.assert_array_equal(doubled, 2 * x)
    assert [name.decode() for name in named.numpy()] == [f"{i}!" for i in range(size)]
    assert seen == parts
