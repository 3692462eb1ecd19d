import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from tests.support.tiny_networks import random_text, tiny_config
from xmcgan.losses.objectives import Objectives
from xmcgan.losses.word_scores import word_region_scores
from xmcgan.models.discriminator import DiscriminatorOutput

BATCH = 4
WEIGHTS = {
    "losses.discriminator_sentence": 0.3,
    "losses.discriminator_word": 0.7,
    "losses.generator_sentence": 1.1,
    "losses.generator_word": 0.2,
    "losses.generator_image": 1.3,
    "losses.generator_image_encoder": 0.4,
    "losses.generator_perceptual": 0.6,
}


def _output(config, seed):
    rng = np.random.default_rng(seed)
    shapes = ([BATCH], [BATCH, 8], [BATCH, 8], [BATCH, 9, config.text.dim])
    return DiscriminatorOutput(*(tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes))


@pytest.fixture
def inputs():
    """D's outputs for real and generated images, the captions, and the image encoder's features of both."""
    config = tiny_config()
    rng = np.random.default_rng(3)
    encodings = [tf.constant(rng.normal(size=[BATCH, 5]), tf.float32) for _ in range(2)]
    return _output(config, 1), _output(config, 2), random_text(config, BATCH), *encodings


def _nce(scores, temperature, axes):
    logits = np.asarray(scores, np.float64) / temperature
    return -sum(np.mean(np.diag(log_softmax(logits, axis=axis))) for axis in axes)


def _cosines(a, b):
    a, b = (np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


def _word_scores(output, text):  # Images are rows; test_word_scores checks the scores themselves.
    return word_region_scores(output.region_features, text.words, text.lengths, rho_1=5.0, rho_2=5.0)


@pytest.mark.parametrize("direction, axes", [("both", (0, 1)), ("single", (1,))])
def test_discriminator_total(direction, axes, inputs):
    real, fake, text, _, _ = inputs
    objectives = Objectives(tiny_config(**WEIGHTS, **{"losses.direction": direction}).losses)
    objective = objectives.discriminator(real, fake, text)
    hinge = np.mean(np.maximum(0, 1 - real.logits)) + np.mean(np.maximum(0, 1 + fake.logits))
    sentence = _nce(_cosines(real.image_features, real.sentence_features), 0.1, axes)
    word = _nce(_word_scores(real, text), 0.02, axes)
    np.testing.assert_allclose(objective.loss, hinge + 0.3 * sentence + 0.7 * word, rtol=1e-5)
    expected = {"hinge": hinge, "sentence_loss": sentence, "word_loss": word, "loss": objective.loss}
    for name, value in expected.items():
        np.testing.assert_allclose(objective.metrics[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(objective.metrics["real_logit"], np.mean(real.logits), rtol=1e-6)
    np.testing.assert_allclose(objective.metrics["fake_logit"], np.mean(fake.logits), rtol=1e-6)


@pytest.mark.parametrize("direction, axes", [("both", (0, 1)), ("single", (1,))])
def test_generator_total(direction, axes, inputs):
    real, fake, text, real_encoding, fake_encoding = inputs
    objectives = Objectives(tiny_config(**WEIGHTS, **{"losses.direction": direction}).losses)
    objective = objectives.generator(real, fake, text, real_encoding, fake_encoding)
    expected = {
        "hinge": -np.mean(fake.logits),
        "sentence_loss": _nce(_cosines(fake.image_features, fake.sentence_features), 0.1, axes),
        "word_loss": _nce(_word_scores(fake, text), 0.02, axes),
        # Section 4.1: a real image looks for the image that was generated from its caption.
        "image_loss": _nce(_cosines(real.image_features, fake.image_features), 0.1, axes),
        "image_encoder_loss": _nce(_cosines(real_encoding, fake_encoding), 0.1, axes),
        "perceptual_loss": np.mean(np.sum((real_encoding.numpy() - fake_encoding.numpy()) ** 2, axis=1)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(objective.metrics[name], value, rtol=1e-5, err_msg=name)
    total = np.dot([1.0, 1.1, 0.2, 1.3, 0.4, 0.6], list(expected.values()))
    np.testing.assert_allclose(objective.loss, total, rtol=1e-5)


@pytest.mark.parametrize(
    "field, metric", [("discriminator_sentence", "sentence_loss"), ("discriminator_word", "word_loss")]
)
def test_a_discriminator_loss_that_is_off_is_not_there(field, metric, inputs):
    real, fake, text, _, _ = inputs
    on = Objectives(tiny_config().losses).discriminator(real, fake, text)
    off = Objectives(tiny_config(**{f"losses.{field}": 0.0}).losses).discriminator(real, fake, text)
    assert metric not in off.metrics
    np.testing.assert_allclose(off.loss, on.loss - on.metrics[metric], rtol=1e-4)


def test_the_generator_alone_needs_no_real_images(inputs):
    _, fake, text, _, _ = inputs
    off = {"losses.generator_image": 0.0, "losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0}
    objective = Objectives(tiny_config(**off).losses).generator(None, fake, text)
    assert {name.split("_")[0] for name in objective.metrics} == {"loss", "hinge", "sentence", "word"}


def test_real_images_take_no_gradient_from_the_image_losses(inputs):
    real, fake, text, real_encoding, fake_encoding = inputs
    with tf.GradientTape() as tape:
        watched = [real.image_features, real_encoding]
        tape.watch(watched)
        config = tiny_config(**{"losses.generator_perceptual": 0.0})
        loss = Objectives(config.losses).generator(real, fake, text, real_encoding, fake_encoding).loss
    assert tape.gradient(loss, watched) == [None, None]
