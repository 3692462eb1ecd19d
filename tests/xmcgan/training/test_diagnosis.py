"""Numbers that are not finite, put into a network on purpose: their place is found."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.support.states import put_back
from tests.support.tiny_networks import random_example, tiny_config
from xmcgan.training import diagnosis
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.loop import compiled_steps
from xmcgan.training.state import TrainState
from xmcgan.training.step import TrainingStep

CHANGES = {"losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0, "training.batch_size": 2}


@pytest.fixture(scope="module")
def config():
    return tiny_config(**CHANGES, **{"text.precomputed": True})


@pytest.fixture(scope="module")
def made(config):
    return TrainState(config)


@pytest.fixture
def state(made):
    with put_back(made):
        yield made


@pytest.mark.parametrize(
    "network, variable, place",
    [
        ("generator", "word_block_1/conv_0/kernel", r"the output of generator(_\d+)?/word_block_1/conv_0"),
        ("discriminator", "to_logit/bias", r"the output of discriminator(_\d+)?/to_logit"),
    ],
)
def test_the_first_layer_is_named_by_its_path(config, state, network, variable, place):
    broken = [each for each in getattr(state, network).variables if variable in each.name]
    assert len(broken) == 1
    broken[0].assign(np.inf * tf.ones_like(broken[0]))
    call, apply_gradients = tf.keras.layers.Layer.__call__, tf.keras.optimizers.Optimizer.apply_gradients
    with diagnosis.watch_non_finite() as found:
        TrainingStep(config, state)([random_example(config, 2)])
    assert re.fullmatch(place, found[0])  # Keras numbers the networks of a process.
    assert tf.keras.layers.Layer.__call__ is call
    assert tf.keras.optimizers.Optimizer.apply_gradients is apply_gradients


def test_without_a_layer_the_first_gradient_is_named():
    layer = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="root")
    optimizer = tf.keras.optimizers.Adam()
    with diagnosis.watch_non_finite() as found:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sqrt(layer(tf.ones([1, 1]))))  # 0, with a slope that is infinite.
        optimizer.apply_gradients(zip(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables))
    assert found == ["the gradient of root/kernel"]


def _eager_steps(config, state):
    """As `compiled_steps`, but without a graph, and on examples."""
    update = TrainingStep(config, state)

    def run_steps(batches, steps):
        rows = []
        for _ in range(steps):
            rows.append(update([next(batches)]))
            state.step.assign_add(1)
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    return run_steps


def _compiled_steps(config, state):
    run_steps = compiled_steps(tf.distribute.get_strategy(), config, state, None)

    def of_examples(batches, steps):
        drawn = itertools.islice(batches, steps)
        examples = [{"image": tf.cast(255.0 * each.image, tf.uint8), **each.text._asdict()} for each in drawn]
        stacked = {name: tf.stack([each[name] for each in examples]) for name in examples[0]}
        return run_steps(iter(tf.data.Dataset.from_tensor_slices(stacked)), steps).metrics

    return of_examples


@pytest.mark.parametrize(
    "make_steps, checkpoint",
    [
        (_eager_steps, True),
        pytest.param(_eager_steps, False, marks=pytest.mark.slow),
        pytest.param(_compiled_steps, True, marks=pytest.mark.slow),
    ],
)
def test_a_run_is_replayed_from_where_it_was_whole(config, state, make_steps, checkpoint, tmp_path):
    """Captions that are no captions come in the third iteration; the checkpoint, if there is one, is of the first."""

    def batches_from(step):
        for number in range(step, 3):
            example = random_example(config, 2, seed=number)
            sentence = example.text.sentence * (np.inf if number == 2 else 1.0)
            yield example._replace(text=example.text._replace(sentence=sentence))

    run_steps = make_steps(config, state)
    checkpoints = Checkpoints(str(tmp_path), state, max_to_keep=1)
    if checkpoint:
        run_steps(batches_from(0), 1)
        checkpoints.save()
    step = int(state.step.numpy())
    metrics = run_steps(batches_from(step), 3 - step)
    replay = diagnosis.Replay(tf.distribute.get_strategy(), config, state, checkpoints, batches_from, run_steps)
    place = r"the output of generator(_\d+)?/sentence_projection"
    with pytest.raises(FloatingPointError, match=rf"is nan at step 3, first in {place}: the step's numbers are in"):
        diagnosis.stop_if_not_finite(str(tmp_path), step, metrics, replay)
    assert state.step == 3
    assert not tf.config.functions_run_eagerly()


def test_that_the_place_cannot_be_found_hides_nothing(tmp_path):
    class NoReplay:
        def first_place(self, step):
            raise RuntimeError(f"no step {step}")

    with pytest.raises(FloatingPointError, match=r"d/loss is nan at step 1: "):
        diagnosis.stop_if_not_finite(str(tmp_path), 0, {"d/loss": np.array([np.nan])}, NoReplay())
