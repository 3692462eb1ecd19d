"""A run that XLA compiles, against the same one by TensorFlow's own kernels."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.tiny_networks import image_encoder, tiny_config
from xmcgan.training import batch_step, loop
from xmcgan.training.state import TrainState
from xmcgan.training.step import TrainingStep

BATCH, STEPS = 4, 2


def _batches(config):
    """Batches as the loop has them where text features are stored."""
    rng = np.random.default_rng(5)
    words = config.data.text_length
    while True:
        yield {
            "image": tf.constant(rng.integers(0, 256, [BATCH, *[config.data.image_size] * 2, 3]), tf.uint8),
            "sentence": tf.constant(rng.normal(size=[BATCH, config.text.dim]), tf.float16),
            "words": tf.constant(rng.normal(size=[BATCH, words, config.text.dim]), tf.float16),
            "lengths": tf.constant(rng.integers(2, words + 1, [BATCH]), tf.int32),
        }


def _metrics(xla):
    config = tiny_config(
        **{"text.precomputed": True, "training.batch_size": BATCH, "training.xla": xla, "training.seed": 3}
    )
    dataset = tf.data.Dataset.from_generator(
        lambda: _batches(config),
        output_signature=tf.nest.map_structure(tf.type_spec_from_value, next(_batches(config))),
    )
    run = loop.compiled_steps(tf.distribute.get_strategy(), config, TrainState(config), None, image_encoder)
    return run(iter(dataset), STEPS).metrics


class _NoiseShown(TrainingStep):
    """Changes nothing, and tells of its noise."""

    def __call__(self, examples):
        return {f"z{i}": value for i, value in enumerate(tf.unstack(tf.reshape(examples[0].z, [-1])))}


@pytest.mark.slow  # Compiles the networks' loop. XLA and gradients: test_recomputation, test_inlined_network.
def test_noise_is_the_same(monkeypatch):
    monkeypatch.setattr(batch_step, "TrainingStep", _NoiseShown)
    compiled, expected = _metrics(xla=True), _metrics(xla=False)
    assert len(expected) > 1 and all(np.ptp(values) for values in expected.values())
    assert {name: list(values) for name, values in compiled.items()} == {
        name: list(values) for name, values in expected.items()
    }


@pytest.mark.slow  # Three minutes of compiling.
def test_numbers_are_the_same_but_for_rounding():
    compiled, expected = _metrics(xla=True), _metrics(xla=False)
    assert set(compiled) == set(expected)
    for name, values in expected.items():
        # The second step comes after the update by the first: by its signs, as Adam's first step is.
        np.testing.assert_allclose(compiled[name][0], values[0], rtol=1e-4, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(compiled[name][1], values[1], rtol=0.1, atol=0.1, err_msg=name)
