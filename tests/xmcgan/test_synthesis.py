import os

import numpy as np
import pytest
import tensorflow as tf
from tiny_networks import random_text, tiny_config

from data_pipelines import prepare
from data_pipelines.datasets import preset
from xmcgan import synthesis
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.synthesis import Synthesizer, from_uint8, mix, noise_of, to_uint8
from xmcgan.training.state import build_generator

CAPTIONS = ["a red ball", "two blue cubes", "a tree", "the sea at night", "a cat"]
SEEDS = [3, 1, 4, 1, 5]


class _HashedText:
    """In a text encoder's place: features that depend on the caption alone."""

    def __init__(self, config):
        self.words, self.dim = config.data.text_length, config.text.dim

    def __call__(self, captions):
        def of_one(caption):
            key = tf.stack([tf.strings.to_hash_bucket_fast(caption, 2**31 - 1), 0])
            return tf.random.stateless_normal([self.words + 1, self.dim], key)

        features = tf.map_fn(of_one, captions, fn_output_signature=tf.TensorSpec([self.words + 1, self.dim]))
        return TextFeatures(features[:, 0], features[:, 1:], tf.fill(tf.shape(captions), 3))


@pytest.fixture(scope="module")
def synthesizer():
    """A function of the batch size; all of them draw by one generator."""
    config = tiny_config()
    generator = build_generator(config)
    generator.to_rgb.kernel.assign(20.0 * generator.to_rgb.kernel)
    return lambda batch_size: Synthesizer(generator, _HashedText(config), config.generator.noise_dim, batch_size)


def test_images_do_not_depend_on_the_batch(synthesizer):
    # 5 captions: part of a batch, a whole one, and one and a part.
    one_by_one, in_threes, at_once = (synthesizer(size)(CAPTIONS, SEEDS) for size in (1, 3, 8))
    assert at_once.shape == (5, 64, 64, 3)
    assert at_once.dtype == np.uint8
    assert np.ptp(at_once) > 100
    for other in (one_by_one, in_threes):  # Rounding may fall to either side.
        assert np.max(np.abs(other.astype(int) - at_once)) <= 1


def test_captions_and_seeds_name_a_image(synthesizer):
    draw = synthesizer(4)
    drawn = draw([CAPTIONS[0], CAPTIONS[0], CAPTIONS[0], CAPTIONS[1]], [7, 8, 7, 7])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert np.any(drawn[0] != drawn[1])
    assert np.any(drawn[0] != drawn[3])
    np.testing.assert_array_equal(draw([CAPTIONS[0]], [7])[0], drawn[0])


@pytest.mark.parametrize("captions, seeds", [([], []), (["a"], [1, 2]), (["a", "b"], [])])
def test_as_many_seeds_as_captions(captions, seeds, synthesizer):
    expected = f"{len(captions)} captions and {len(seeds)} seeds: give as many of each, at least one"
    with pytest.raises(ValueError, match=expected):
        synthesizer(2)(captions, seeds)


def test_noise_belongs_to_the_seed():
    together = noise_of(tf.constant([5, 6, 5, -1, 2**40], tf.int64), 16).numpy()
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_array_equal(together[4], noise_of(tf.constant([2**40], tf.int64), 16)[0])
    for a, b in [(0, 1), (0, 3), (1, 4), (3, 4)]:
        assert not np.any(together[a] == together[b])


def test_noise_is_standard_normal():
    z = noise_of(tf.range(500, dtype=tf.int64), 40).numpy()
    np.testing.assert_allclose([z.mean(), z.std(), (z**3).mean(), (z**4).mean()], [0, 1, 0, 3], atol=0.15)
    np.testing.assert_allclose(np.corrcoef(z[::2, 0], z[1::2, 0])[0, 1], 0, atol=0.2)  # Nor do neighbors tell.


def test_levels_are_rounded():
    levels = to_uint8(tf.constant([-0.1, 0.0, 0.4 / 255, 0.6 / 255, 127.6 / 255, 1.0, 1.2]))
    np.testing.assert_array_equal(levels, [0, 0, 0, 1, 128, 255, 255])
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(tf.constant(every / np.float32(255))), every)


def test_empty_handles_mean_the_prepared_encoder(monkeypatch):
    monkeypatch.setattr(synthesis, "TextEncoder", lambda *args: args)
    prepared = prepare.text_model_folder("records")
    paths = (os.path.join(prepared, part) for part in ("preprocessor", "encoder"))
    assert synthesis.load_text_encoder(preset("scenes"), "records") == (*paths, 17, "mean", 128)
    config = preset("coco2014")
    loaded = synthesis.load_text_encoder(config, "records")
    assert loaded == (config.text.preprocessor, config.text.encoder, 17, "mean", 768)


def test_levels_survive_the_way_there_and_back():
    levels = tf.range(256)
    images = from_uint8(tf.cast(levels, tf.uint8))
    assert images.dtype == tf.float32 and images[0] == 0 and images[-1] == 1
    np.testing.assert_array_equal(to_uint8(images), levels)


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
