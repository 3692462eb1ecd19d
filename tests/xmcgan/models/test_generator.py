import math

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.datasets import preset
from tests.support.tiny_networks import random_text, tiny_config
from xmcgan.config import IMAGE_SIZES
from xmcgan.models.blocks import GeneratorBlock
from xmcgan.models.generator import Generator
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.state import build_generator

BATCH = 3


def _unbuilt(config):
    return Generator(config.generator, config.data.image_size, config.text.dim)


def _generate(config, generator=None, batch=BATCH, text=None, z=None, **mode):
    generator = generator or _unbuilt(config)
    z = tf.random.stateless_normal([batch, config.generator.noise_dim], [1, 2]) if z is None else z
    return generator(z, random_text(config, batch) if text is None else text, **mode)


_unconverted = tf.autograph.experimental.do_not_convert  # AutoGraph would rewrite each layer, which takes seconds.


def _num_parameters(variables):
    return sum(math.prod(variable.shape) for variable in variables)


# Parameters and moving statistics of the public JAX release.
@pytest.mark.parametrize(
    "image_size, channels, parameters, statistics",
    [(256, 96, 92_865_539, 18_048), (256, 64, 44_443_267, 12_032), (128, 96, 78_507_779, 14_976)],
)
def test_parameter_counts(image_size, channels, parameters, statistics):
    config = preset("reference")
    config.data.image_size, config.generator.channels = image_size, channels
    with tf.Graph().as_default():  # Variables of a graph that never runs take no memory.
        generator = _unconverted(build_generator)(config)
    assert _num_parameters(generator.trainable_variables) == parameters
    assert _num_parameters(generator.non_trainable_variables) == statistics


def test_shapes_and_size_of_the_papers_generator(monkeypatch):
    shapes = []
    call = GeneratorBlock.call

    def recorded(block, *args, **kwargs):
        output = call(block, *args, **kwargs)
        shapes.append(output[0].value.shape[1:])
        return output

    monkeypatch.setattr(GeneratorBlock, "call", recorded)
    with tf.Graph().as_default():
        config = preset("coco2014")
        generator = _unbuilt(config)
        text = TextFeatures(tf.zeros([2, 768]), tf.zeros([2, 17, 768]), tf.ones([2], tf.int32))
        output = _unconverted(generator)(tf.zeros([2, 128]), text)
    ch = 96
    assert shapes == [  # Table 8a
        (8, 8, 16 * ch),
        (16, 16, 8 * ch),
        (32, 32, 8 * ch),
        (64, 64, 4 * ch),
        (128, 128, 2 * ch),
        (256, 256, ch),
    ]
    assert output.image.shape == (2, 256, 256, 3)
    assert output.attention.shape == (2, 256, 17)
    assert generator.sentence_projection.kernel.shape == (768, 128)
    assert generator.stem.kernel.shape == (128 + 128, 4 * 4 * 16 * ch)
    assert generator.region_projection.kernel.shape == (1, 1, 8 * ch, 768)
    assert generator.to_rgb.kernel.shape == (3, 3, ch, 3)
    # The reference's stem sees the noise alone.
    assert _num_parameters(generator.trainable_variables) == 92_865_539 + 128 * 24_576


@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_draws_images_in_range(image_size):
    config = tiny_config(**{"data.image_size": image_size})
    generator = _unbuilt(config)
    _generate(config, generator)
    generator.to_rgb.kernel.assign(1e3 * generator.to_rgb.kernel)
    for use_batch_statistics in (True, False):
        output = _generate(config, generator, use_batch_statistics=use_batch_statistics)
        assert output.image.shape == (BATCH, image_size, image_size, 3)
        assert tf.reduce_min(output.image) >= 0
        assert tf.reduce_max(output.image) <= 1
        assert np.ptp(output.image) > 0.9


def test_looks_at_real_words_alone():
    config = tiny_config()
    generator, text = _unbuilt(config), random_text(config, BATCH)
    output = _generate(config, generator, text=text)
    real = np.arange(config.data.text_length) < text.lengths.numpy()[:, None]  # [batch, words]
    attention = output.attention.numpy()
    np.testing.assert_allclose(attention.sum(axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(attention * ~real[:, None, :], 0.0)

    changed = text._replace(words=tf.where(real[:, :, None], text.words, 7.0))
    np.testing.assert_array_equal(_generate(config, generator, text=changed).image, output.image)
    changed = text._replace(words=tf.where(real[:, :, None], 7.0 + text.words**2, text.words))
    assert np.ptp(_generate(config, generator, text=changed).image - output.image) > 0


def test_self_modulation_has_no_attention():
    config = tiny_config(**{"generator.modulation": "self"})
    generator, text = _unbuilt(config), random_text(config, BATCH)
    output = _generate(config, generator, text=text)
    assert output.attention is None
    assert generator.region_projection is None
    changed = text._replace(words=text.words + 1.0)
    np.testing.assert_array_equal(_generate(config, generator, text=changed).image, output.image)
    widths = {v.shape[0] for v in generator.trainable_variables if "/gamma/kernel" in v.name}
    assert widths == {config.generator.condition_dim + config.generator.noise_dim}


@pytest.mark.parametrize("stem", ["condition", "noise"])
def test_the_stem_sees_the_sentence_or_the_noise_alone(stem):
    config = tiny_config(**{"generator.stem": stem})
    generator, text, seen = _unbuilt(config), random_text(config, BATCH), []
    _generate(config, generator, text=text)
    z = tf.random.stateless_normal([BATCH, config.generator.noise_dim], [3, 4])
    call = generator.stem.call
    generator.stem.call = lambda x: (seen.append(x), call(x))[1]
    _generate(config, generator, text=text, z=z)
    projected = text.sentence @ generator.sentence_projection.kernel + generator.sentence_projection.bias
    expected = np.concatenate([projected, z], axis=-1) if stem == "condition" else z
    np.testing.assert_allclose(seen[0], expected, rtol=1e-5, atol=1e-6)


def test_noise_and_sentence_reach_the_image():
    config = tiny_config()
    generator, text = _unbuilt(config), random_text(config, BATCH)
    image = _generate(config, generator, text=text).image
    other_z = tf.random.stateless_normal([BATCH, config.generator.noise_dim], [5, 6])
    assert np.ptp(_generate(config, generator, text=text, z=other_z).image - image) > 0
    other_text = text._replace(sentence=text.sentence + 1.0)
    assert np.ptp(_generate(config, generator, text=other_text).image - image) > 0


def test_averages_follow_when_they_are_told():
    config = tiny_config()
    generator = build_generator(config)
    before = [variable.numpy() for variable in generator.non_trainable_variables]
    _generate(config, generator)
    statistics = _generate(config, generator, use_batch_statistics=True).statistics
    for variable, value in zip(generator.non_trainable_variables, before):
        np.testing.assert_array_equal(variable, value)
    generator.update_moving_averages(statistics)
    for variable, value in zip(generator.non_trainable_variables, before):
        assert np.any(variable.numpy() != value), variable.name


@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_every_parameter_has_a_gradient(image_size):
    config = tiny_config(**{"data.image_size": image_size})
    generator = build_generator(config)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(_generate(config, generator, use_batch_statistics=True).image))
    assert None not in tape.gradient(loss, generator.trainable_variables)
