import math

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.datasets import preset
from tests.support.tiny_networks import random_example, tiny_config
from xmcgan.config import IMAGE_SIZES
from xmcgan.models.blocks import DiscriminatorBlock
from xmcgan.models.discriminator import Discriminator
from xmcgan.training.state import build_discriminator

BATCH = 3


def _num_parameters(variables):
    return sum(math.prod(variable.shape) for variable in variables)


_unconverted = tf.autograph.experimental.do_not_convert  # AutoGraph would rewrite each layer, which takes seconds.


def _discriminate(config, discriminator, example=None, training=False):
    example = example or random_example(config, BATCH)
    return discriminator(example.image, example.text.sentence, training=training)


# Parameters and entries of u of the public JAX release.
@pytest.mark.parametrize(
    "image_size, channels, parameters, state",
    [(256, 96, 99_415_585, 16_609), (256, 64, 44_582_849, 11_329), (128, 96, 87_911_713, 14_305)],
)
def test_parameter_counts(image_size, channels, parameters, state):
    for name in ("coco2014", "reference"):
        config = preset(name)
        config.data.image_size, config.discriminator.channels = image_size, channels
        with tf.Graph().as_default():  # Variables of a graph that never runs take no memory.
            discriminator = _unconverted(build_discriminator)(config)
        assert _num_parameters(discriminator.trainable_variables) == parameters
        assert _num_parameters(discriminator.non_trainable_variables) == state


def test_shapes_of_the_papers_discriminator(monkeypatch):
    shapes = []
    call = DiscriminatorBlock.call

    def recorded(block, *args, **kwargs):
        output = call(block, *args, **kwargs)
        shapes.append(output.shape[1:])
        return output

    monkeypatch.setattr(DiscriminatorBlock, "call", recorded)
    with tf.Graph().as_default():
        discriminator = Discriminator(preset("coco2014").discriminator, 256, 768)
        output = _unconverted(discriminator)(tf.zeros([2, 256, 256, 3]), tf.zeros([2, 768]))
    ch = 96
    assert shapes == [  # Table 8b
        (128, 128, ch),
        (64, 64, 2 * ch),
        (32, 32, 4 * ch),
        (16, 16, 8 * ch),
        (8, 8, 8 * ch),
        (4, 4, 16 * ch),
        (4, 4, 16 * ch),
    ]
    assert output.logits.shape == (2,)
    assert output.image_features.shape == (2, 16 * ch)
    assert output.sentence_features.shape == (2, 16 * ch)
    assert output.region_features.shape == (2, 16 * 16, 768)


@pytest.mark.parametrize("image_size", IMAGE_SIZES)
def test_shapes_of_small_images(image_size):
    config = tiny_config(**{"data.image_size": image_size})
    output = _discriminate(config, Discriminator(config.discriminator, image_size, config.text.dim))
    shapes = [tuple(tensor.shape) for tensor in output]
    assert shapes == [(BATCH,), (BATCH, 16), (BATCH, 16), (BATCH, 256, config.text.dim)]


def test_the_logit_is_the_projection_discriminators():
    config = tiny_config()
    discriminator, example = build_discriminator(config), random_example(config, BATCH)
    for layer in (discriminator.sentence_projection, discriminator.to_logit):
        layer.bias.assign(np.linspace(-1, 1, layer.units))
    last = []
    block = discriminator.image_blocks[-1]
    call = block.call
    block.call = lambda *arguments, **options: (last.append(call(*arguments, **options)), last[-1])[1]
    output = _discriminate(config, discriminator, example)

    pooled = np.maximum(last[0], 0).sum(axis=(1, 2))  # Over space, of the ReLU: [batch, 16 ch]
    np.testing.assert_allclose(output.image_features, pooled, rtol=1e-5)
    e_s = example.text.sentence.numpy()
    projected, to_logit = discriminator.sentence_projection, discriminator.to_logit
    sentence = e_s @ projected.normalized_kernel(False).numpy() + projected.bias.numpy()
    np.testing.assert_allclose(output.sentence_features, sentence, rtol=1e-4, atol=1e-5)
    linear = pooled @ to_logit.normalized_kernel(False).numpy()[:, 0] + to_logit.bias.numpy()
    np.testing.assert_allclose(output.logits, linear + np.sum(pooled * sentence, axis=1), rtol=1e-4, atol=1e-4)


def test_regions_are_an_image_at_16_x_16():
    config = tiny_config()
    discriminator, example = build_discriminator(config), random_example(config, BATCH)
    before = _discriminate(config, discriminator, example).region_features
    corner = np.zeros([64, 64, 1], np.float32)
    corner[:4, :4] = 1.0
    changed = example._replace(image=example.image * (1 - corner) + (1 - example.image) * corner)
    after = _discriminate(config, discriminator, changed).region_features
    moved = np.any(after != before, axis=(0, 2)).reshape(16, 16)
    assert moved[0, 0]
    assert not moved[8:, :].any()  # The receptive field of a region is not the whole image,
    assert not moved[:, 8:].any()  # and rows and columns stand where they stood.


@pytest.mark.parametrize("layers", [1, 2])
def test_contrastive_head_is_an_mlp_that_the_logit_does_not_see(layers):
    config = tiny_config(**{"discriminator.contrastive_head_layers": layers})
    discriminator, plain = build_discriminator(config), build_discriminator(tiny_config())
    head = discriminator.contrastive_head
    heads = {variable.ref() for layer in head for variable in layer.variables}
    for target, source in zip((v for v in discriminator.variables if v.ref() not in heads), plain.variables):
        target.assign(source)
    for layer in head:
        layer.bias.assign(np.linspace(-5, 5, layer.units))
    output, without = _discriminate(config, discriminator), _discriminate(config, plain)
    np.testing.assert_array_equal(output.logits, without.logits)
    np.testing.assert_array_equal(output.sentence_features, without.sentence_features)

    expected = without.image_features.numpy()
    for i, layer in enumerate(head):
        expected = np.maximum(expected, 0) if i else expected
        expected = expected @ layer.normalized_kernel(False).numpy() + layer.bias.numpy()
    assert len(head) == layers
    np.testing.assert_allclose(output.image_features, expected, rtol=1e-4, atol=1e-4)


def test_inference_changes_nothing_and_training_every_u():
    config = tiny_config()
    discriminator = build_discriminator(config)
    before = [variable.numpy() for variable in discriminator.variables]
    _discriminate(config, discriminator, training=False)
    for variable, value in zip(discriminator.variables, before):
        np.testing.assert_array_equal(variable, value)
    _discriminate(config, discriminator, training=True)
    for variable, value in zip(discriminator.variables, before):
        if variable.trainable:
            np.testing.assert_array_equal(variable, value)
        else:
            assert np.any(variable.numpy() != value), variable.name


def test_one_kernel_scale_is_as_good_as_another():
    config = tiny_config()
    discriminator = build_discriminator(config)
    before = _discriminate(config, discriminator)
    for variable in discriminator.trainable_variables:
        if "/kernel" in variable.name:
            variable.assign(3.0 * variable)
    after = _discriminate(config, discriminator)
    for ours, expected in zip(after, before):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_images_are_judged_one_by_one():
    config = tiny_config()
    discriminator, example = build_discriminator(config), random_example(config, BATCH)
    together = _discriminate(config, discriminator, example)
    alone = discriminator(example.image[1:2], example.text.sentence[1:2])
    for ours, expected in zip(alone, together):
        np.testing.assert_allclose(ours[0], expected[1], rtol=1e-4, atol=1e-5)
