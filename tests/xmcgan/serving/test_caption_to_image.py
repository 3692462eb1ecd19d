import numpy as np
import tensorflow as tf

from tests.support.tiny_networks import random_text, tiny_config
from xmcgan.serving.caption_to_image import mix
from xmcgan.training.state import build_generator


def test_a_mixture_begins_and_ends_with_the_captions():
    config = tiny_config()
    tf.keras.utils.set_random_seed(0)
    generator = build_generator(config)
    first, second = random_text(config, 3), random_text(config, 3, seed=1)
    z = tf.random.stateless_normal([3, config.generator.noise_dim], [0, 1])

    def drawn(share):
        text, weights = mix(first, second, tf.fill([3], float(share)))
        return generator(z, text, word_weights=weights).image.numpy()

    for share, text in ((0.0, first), (1.0, second)):
        np.testing.assert_allclose(drawn(share), generator(z, text).image, atol=1e-5)
    whole = np.mean(np.abs(drawn(1.0) - drawn(0.0)))
    for share in (0.0, 0.5, 1.0 - 1e-6):  # Without a jump, at the ends neither.
        assert np.mean(np.abs(drawn(share + 1e-6) - drawn(share))) < 0.01 * whole


def test_a_mixture_of_a_caption_with_itself_is_that_caption():
    config = tiny_config()
    generator, text = build_generator(config), random_text(config, 3)
    z = tf.random.stateless_normal([3, config.generator.noise_dim], [0, 1])
    mixed, weights = mix(text, text, tf.constant([0.2, 0.5, 0.9]))
    drawn = generator(z, mixed, word_weights=weights).image
    np.testing.assert_allclose(drawn, generator(z, text).image, atol=1e-5)
