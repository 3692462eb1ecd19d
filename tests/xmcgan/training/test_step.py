import collections
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.support.states import put_back
from tests.support.tiny_networks import image_encoder, random_example, tiny_config
from xmcgan.training import step as step_lib
from xmcgan.training.augmentation import NUM_RANDOM, augment
from xmcgan.training.state import TrainState, set_learning_rates
from xmcgan.training.step import TrainingStep

BATCH = 4
RULES = ("algorithm1", "joint")


@pytest.fixture(scope="module")
def made():
    return TrainState(tiny_config())


@pytest.fixture
def state(made):
    with put_back(made):
        yield made


def _snapshot(variables):
    return [variable.numpy() for variable in variables]


def _changed(variables, before):
    return [not np.array_equal(variable.numpy(), value) for variable, value in zip(variables, before)]


def test_a_discriminator_step_leaves_the_generator_as_it_is(state):
    config = tiny_config()
    generator, discriminator = _snapshot(state.generator.variables), _snapshot(state.discriminator.variables)
    metrics = TrainingStep(config, state, image_encoder).discriminator_step(random_example(config, BATCH))
    assert not any(_changed(state.generator.variables, generator))
    assert all(_changed(state.discriminator.trainable_variables, discriminator))
    assert all(name.startswith("d/") for name in metrics)
    assert state.generator_optimizer.iterations == 0
    assert state.discriminator_optimizer.iterations == 1


def test_a_generator_step_leaves_the_discriminators_weights_as_they_are(state):
    config = tiny_config()
    statistics = _snapshot(state.generator.non_trainable_variables)
    weights = _snapshot(state.discriminator.trainable_variables)
    metrics = TrainingStep(config, state, image_encoder).generator_step(random_example(config, BATCH))
    assert all(_changed(state.generator.non_trainable_variables, statistics))
    assert not any(_changed(state.discriminator.trainable_variables, weights))
    assert all(name.startswith("g/") for name in metrics)
    assert state.generator_optimizer.iterations == 1
    assert state.discriminator_optimizer.iterations == 0


def test_a_joint_step_takes_both_gradients_where_the_networks_stand(state):
    config = tiny_config()
    example = random_example(config, BATCH)
    stands = types.SimpleNamespace(apply_gradients=lambda *args, **kwargs: None)
    frozen = types.SimpleNamespace(
        generator=state.generator,
        discriminator=state.discriminator,
        generator_optimizer=stands,
        discriminator_optimizer=stands,
    )
    u = _snapshot(state.discriminator.non_trainable_variables)
    expected = TrainingStep(config, frozen, image_encoder).joint_step(example)
    for variable, value in zip(state.discriminator.non_trainable_variables, u):
        variable.assign(value)
    before = _snapshot(state.generator.trainable_variables), _snapshot(state.discriminator.trainable_variables)
    metrics = TrainingStep(config, state, image_encoder).joint_step(example)
    assert set(metrics) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
    assert any(_changed(state.generator.trainable_variables, before[0]))
    assert all(_changed(state.discriminator.trainable_variables, before[1]))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("discriminator_steps", [1, 2])
def test_an_iteration_takes_its_steps(rule, discriminator_steps, state):
    settings = {"training.update_rule": rule, "training.discriminator_steps": discriminator_steps}
    config = tiny_config(**settings)
    batches = config.training.batches_per_iteration
    assert batches == discriminator_steps + (1 if rule == "algorithm1" else 0)
    metrics = TrainingStep(config, state, image_encoder)(
        [random_example(config, BATCH, seed) for seed in range(batches)]
    )
    assert state.discriminator_optimizer.iterations == discriminator_steps
    assert state.generator_optimizer.iterations == 1
    for name in ("d/loss", "d/gradient_norm", "d/sentence_accuracy", "d/word_entropy", "g/loss", "g/gradient_norm"):
        assert np.isfinite(metrics[name])
    for name in ("sentence", "word", "image", "image_encoder"):
        assert 0 <= metrics[f"g/{name}_accuracy"] <= 1
        assert 0 <= metrics[f"g/{name}_entropy"] <= np.log(BATCH) + 1e-5
    assert 0 <= metrics["g/attention_entropy"] <= np.log(config.data.text_length)


@pytest.mark.parametrize("rule", RULES)
def test_further_generator_steps_use_the_last_captions_again(rule, state):
    config = tiny_config(**{"training.update_rule": rule, "training.discriminator_steps": 1})
    config.training.generator_steps = 2
    examples = [random_example(config, BATCH, seed) for seed in range(config.training.noises_per_iteration)]
    TrainingStep(config, state, image_encoder)(examples)
    assert state.discriminator_optimizer.iterations == 1
    assert state.generator_optimizer.iterations == 2


@pytest.mark.parametrize("step", ["discriminator_step", "generator_step", "joint_step"])
def test_d_sees_real_and_generated_images_changed_alike(step, state, monkeypatch):
    config = tiny_config(**{"training.augmentation": "translation,cutout"})
    numbers = tf.random.stateless_uniform([BATCH, NUM_RANDOM], [1, 2])
    example = random_example(config, BATCH)._replace(augmentation=numbers)
    call, seen = state.discriminator.call, []

    def recorded(images, *args, **kwargs):
        seen.extend([images] if len(images) == BATCH else tf.split(images, 2))
        return call(images, *args, **kwargs)

    monkeypatch.setattr(state.discriminator, "call", recorded)
    getattr(TrainingStep(config, state, image_encoder), step)(example)
    real, fake = seen
    np.testing.assert_array_equal(real, augment(example.image, config.training.augmentation, numbers))
    gray = [np.all(images == 0.5, axis=-1) for images in (real, fake)]
    assert np.any(gray[0])
    assert np.all(gray[1][gray[0]])


def test_learning_rates_fall_to_zero_at_the_end():
    config = tiny_config(**{"training.num_steps": 10, "training.learning_rate_decay_steps": 4})
    for_g, for_d = (types.SimpleNamespace(learning_rate=tf.Variable(-1.0)) for _ in range(2))
    state = types.SimpleNamespace(step=tf.Variable(0), generator_optimizer=for_g, discriminator_optimizer=for_d)
    rates = []
    for step in (0, 6, 7, 9, 10, 12):
        state.step.assign(step)
        set_learning_rates(config, state)
        rates.append([for_g.learning_rate.numpy(), for_d.learning_rate.numpy()])
    full = [config.training.generator_learning_rate, config.training.discriminator_learning_rate]
    np.testing.assert_allclose(rates, np.outer([1, 1, 0.75, 0.25, 0, 0], full), rtol=1e-6)


OFF = {
    "losses.discriminator_sentence": 0.0,
    "losses.discriminator_word": 0.0,
    "losses.generator_sentence": 0.0,
    "losses.generator_word": 0.0,
    "losses.generator_image": 0.0,
    "losses.generator_image_encoder": 0.0,
    "losses.generator_perceptual": 0.0,
}


def _ops(step, example):
    """Ops of a traced step by type."""
    graph = tf.function(step, autograph=False).get_concrete_function(example).graph
    return collections.Counter(op.type for op in graph.get_operations())


@pytest.mark.slow  # By the ops of a graph; by calls of the losses: test_ablation_steps.
@pytest.mark.parametrize("network", ["discriminator", "generator"])
def test_a_loss_that_is_off_is_not_computed(network, state, monkeypatch):
    # The losses alone are looked at, and gradients take longest to trace.
    monkeypatch.setattr(step_lib, "_gradients", lambda loss, tapes, _: [tf.zeros_like(x) for x in tapes[-1][1]])

    def ops(loss):
        config = tiny_config(**{**OFF, f"losses.{network}_{loss}": 1.0})
        # No image encoder: it must not be missed.
        return _ops(getattr(TrainingStep(config, state), f"{network}_step"), random_example(config, BATCH))

    sentence, word = ops("sentence"), ops("word")
    assert sentence["LogSoftmax"] == word["LogSoftmax"] == 2  # One for each direction.
    assert word["Softmax"] == sentence["Softmax"] + 1  # The attention over regions.


@pytest.mark.parametrize("weight, passes", [(0.0, 1), (1.0, 2)])
def test_only_the_image_loss_shows_d_real_images_in_a_generator_step(weight, passes, state, monkeypatch):
    config = tiny_config(**{**OFF, "losses.generator_image": weight})
    call, seen = state.discriminator.call, []

    def recorded(images, *args, **kwargs):
        seen.append(len(images))
        return call(images, *args, **kwargs)

    monkeypatch.setattr(state.discriminator, "call", recorded)
    TrainingStep(config, state).generator_step(random_example(config, BATCH))
    assert seen == [BATCH] * passes


def test_metrics_of_losses_that_are_off_are_absent(state):
    config = tiny_config(**OFF)
    example = random_example(config, BATCH)
    update = TrainingStep(config, state)
    metrics = {**update.discriminator_step(example), **update.generator_step(example)}
    assert set(metrics) == {
        *("d/loss", "d/hinge", "d/real_logit", "d/fake_logit", "d/gradient_norm"),
        *("g/loss", "g/hinge", "g/gradient_norm", "g/attention_entropy"),
    }


def test_gradient_norm_is_that_of_all_gradients_together(state):
    config = tiny_config()
    kept = []
    optimizer = types.SimpleNamespace(apply_gradients=lambda pairs, **kwargs: kept.extend(g.numpy() for g, _ in pairs))
    networks = types.SimpleNamespace(
        generator=state.generator, discriminator=state.discriminator, discriminator_optimizer=optimizer
    )
    metrics = TrainingStep(config, networks, image_encoder).discriminator_step(random_example(config, BATCH))
    expected = np.linalg.norm(np.concatenate([gradient.ravel() for gradient in kept]))
    np.testing.assert_allclose(metrics["d/gradient_norm"], expected, rtol=1e-5)
