"""Numbers that are not finite, put into a network on purpose: their place is found."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow as tf
from tiny_networks import random_example, tiny_config

from xmcgan.training import diagnosis
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.finite import stop_if_not_finite
from xmcgan.training.loop import compiled_steps
from xmcgan.training.state import TrainState
from xmcgan.training.update import Update

CHANGES = {"losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0, "training.batch_size": 2}


@pytest.fixture(scope="module")
def config():
    return tiny_config(**CHANGES, **{"text.precomputed": True})


@pytest.mark.parametrize(
    "network, variable, place",
    [
        ("generator", "word_block_1/conv_0/kernel", r"the output of generator(_\d+)?/word_block_1/conv_0"),
        ("discriminator", "to_logit/bias", r"the output of discriminator(_\d+)?/to_logit"),
    ],
)
def test_the_first_layer_is_named_by_its_path(config, network, variable, place):
    state = TrainState(config)
    broken = [each for each in getattr(state, network).variables if variable in each.name]
    assert len(broken) == 1
    broken[0].assign(np.inf * tf.ones_like(broken[0]))
    call, apply_gradients = tf.keras.layers.Layer.__call__, tf.keras.optimizers.Optimizer.apply_gradients
    with diagnosis.watched() as found:
        Update(config, state)([random_example(config, 2)])
    assert re.fullmatch(place, found[0])  # Keras numbers the networks of a process.
    assert tf.keras.layers.Layer.__call__ is call
    assert tf.keras.optimizers.Optimizer.apply_gradients is apply_gradients


def test_without_a_layer_the_first_gradient_is_named():
    layer = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="root")
    optimizer = tf.keras.optimizers.Adam()
    with diagnosis.watched() as found:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sqrt(layer(tf.ones([1, 1]))))  # 0, with a slope that is infinite.
        optimizer.apply_gradients(zip(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables))
    assert found == ["the gradient of root/kernel"]


def test_a_run_is_replayed_from_its_checkpoint(config, tmp_path):
    """Pictures that are no pictures come in the fourth iteration; the checkpoint is of the first."""
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with strategy.scope():
        state = TrainState(config)

    def example(number):
        drawn = random_example(config, 2, seed=number)
        text = drawn.text._replace(sentence=drawn.text.sentence * (np.inf if number == 3 else 1.0))
        return {"image": tf.cast(255.0 * drawn.image, tf.uint8), **text._asdict()}

    examples = [example(number) for number in range(6)]

    def batches_from(step):
        stacked = {name: tf.stack([each[name] for each in examples]) for name in examples[0]}
        return iter(strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(stacked).skip(step)))

    run_steps = compiled_steps(strategy, config, state, None)
    checkpoints = Checkpoints(str(tmp_path), state, max_to_keep=1)
    find = diagnosis.finder(strategy, config, state, checkpoints, batches_from, run_steps)
    batches = batches_from(0)
    for with_checkpoint in (False, True):
        if with_checkpoint:
            with strategy.scope():
                state.restore(TrainState(config).write(str(tmp_path / "beginning"))).expect_partial()
            batches = batches_from(0)
            run_steps(batches, 1)
            checkpoints.save()
        step = int(state.step.numpy())
        metrics = run_steps(batches, 5 - step)
        message = (
            r"is nan at step 4, first in the output of (generator|discriminator)(_\d+)?/sentence_projection: the step's numb"
        )
        with pytest.raises(FloatingPointError, match=message):
            stop_if_not_finite(str(tmp_path), step, metrics, find)


def test_that_the_place_cannot_be_found_hides_nothing(tmp_path):
    def fail(step):
        raise RuntimeError(f"no step {step}")

    with pytest.raises(FloatingPointError, match=r"d/loss is nan at step 1: "):
        stop_if_not_finite(str(tmp_path), 0, {"d/loss": np.array([np.nan])}, fail)
