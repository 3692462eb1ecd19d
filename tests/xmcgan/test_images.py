import numpy as np
import tensorflow as tf

from xmcgan.images import from_uint8, to_uint8


def test_levels_are_rounded():
    levels = to_uint8(tf.constant([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 127.6 / 255, 1.0, 1.2]))
    np.testing.assert_array_equal(levels, [0, 0, 0, 1, 128, 255, 255])
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(tf.constant(every / np.float32(255))), every)


def test_levels_survive_the_way_there_and_back():
    levels = tf.range(256)
    images = from_uint8(tf.cast(levels, tf.uint8))
    assert images.dtype == tf.float32 and images[0] == 0 and images[-1] == 1
    np.testing.assert_array_equal(to_uint8(images), levels)
