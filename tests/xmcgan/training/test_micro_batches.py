"""Every way to fit a batch into less memory, against the step that holds all of it, in double precision."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tests.support.tiny_networks import build_networks, image_encoder, random_example, tiny_config
from xmcgan.training import step as step_lib
from xmcgan.training.step import TrainingStep

BATCH = 4
STEPS = ("discriminator_step", "generator_step", "joint_step")


class _Recorder:
    """In an optimizer's place: keeps the gradients, moves nothing."""

    def apply_gradients(self, gradients_and_variables, **kwargs):
        self.gradients = [gradient.numpy() for gradient, _ in gradients_and_variables]


def _take(networks, step, example, **changes):
    """One step from where the networks stand; puts their states back.

    Returns:
      Metrics, gradients and the states after it, by name.
    """
    states = networks.generator.non_trainable_variables + networks.discriminator.non_trainable_variables
    before = [state.numpy() for state in states]
    optimizers = {"g": _Recorder(), "d": _Recorder()}
    networks = types.SimpleNamespace(
        generator=networks.generator,
        discriminator=networks.discriminator,
        generator_optimizer=optimizers["g"],
        discriminator_optimizer=optimizers["d"],
    )
    metrics = getattr(TrainingStep(tiny_config(**changes), networks, image_encoder), step)(example)
    result = {name: value.numpy() for name, value in metrics.items()}
    for network, optimizer in optimizers.items():
        result.update({f"{network}/gradient/{i}": g for i, g in enumerate(getattr(optimizer, "gradients", ()))})
    for i, (state, value) in enumerate(zip(states, before)):
        result[f"state/{i}/{state.name}"] = state.numpy()
        state.assign(value)
    return result


def _assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-9 * max(1.0, np.abs(value).max()), err_msg=name)


@pytest.fixture(scope="module")
def case():
    """Networks, an example, and what each step comes to when it holds the whole batch."""
    before = tf.keras.backend.floatx()
    tf.keras.backend.set_floatx("float64")
    config = tiny_config()
    example = random_example(config, BATCH, dtype="float64")
    generator, discriminator = build_networks(config, example)
    networks = types.SimpleNamespace(generator=generator, discriminator=discriminator)
    yield networks, example, {step: _take(networks, step, example) for step in STEPS}
    tf.keras.backend.set_floatx(before)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "changes",
    [
        {"training.micro_batches": 2},
        {"training.micro_batches": 4, "training.recompute": True, "losses.word_chunk": 2},
        pytest.param({"training.recompute": True}, marks=pytest.mark.slow),  # Of each network: test_recomputation.
    ],
    ids=["two_parts", "four_parts_recomputed", "recomputed"],
)
def test_a_step_in_parts_is_the_step(step, changes, case):
    networks, example, expected = case
    _assert_same(_take(networks, step, example, **changes), expected[step])


def _draw_rows(generator, example, rows):
    text = type(example.text)(*(x[rows] for x in example.text))
    return generator(example.z[rows], text, use_batch_statistics=True)


@pytest.mark.parametrize("recompute", [False, True])
def test_statistics_of_each_micro_batch(recompute, case):
    """Exact, but for what it says: each part of G is normalized by its own statistics."""
    networks, example, _ = case
    changes = {"training.micro_batches": 2, "training.micro_batch_statistics": "micro_batch"}
    changes["training.recompute"] = recompute
    found = _take(networks, "generator_step", example, **changes)

    half = BATCH // 2
    update = TrainingStep(tiny_config(), None, image_encoder)
    discriminator, sentence = networks.discriminator, example.text.sentence
    u = [variable.numpy() for variable in discriminator.non_trainable_variables]
    with tf.GradientTape() as tape:
        parts = [_draw_rows(networks.generator, example, rows) for rows in (slice(0, half), slice(half, None))]
        image = tf.concat([part.image for part in parts], axis=0)
        output = discriminator(tf.concat([example.image, image], 0), tf.concat([sentence] * 2, 0), training=True)
        real, fake = (type(output)(*halves) for halves in zip(*(tf.split(x, 2) for x in output)))
        encodings = image_encoder(example.image), image_encoder(image)
        loss = update.objectives.generator(real, fake, example.text, *encodings).loss
    gradients = tape.gradient(loss, networks.generator.trainable_variables)
    for variable, value in zip(discriminator.non_trainable_variables, u):
        variable.assign(value)

    np.testing.assert_allclose(found["g/loss"], loss, rtol=1e-9)
    for i, gradient in enumerate(gradients):
        tolerance = 1e-9 * max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(found[f"g/gradient/{i}"], gradient, rtol=0, atol=tolerance)
    # The discriminator's step has no part in it but the images.
    moved = [value for name, value in found.items() if name.startswith("state/") and "moving_mean" in name]
    assert len(moved) == len(parts[0].statistics)
    for value, seen in zip(moved, zip(*(part.statistics for part in parts))):
        np.testing.assert_allclose(value, 0.1 * np.mean([s.mean[0] for s in seen], axis=0), atol=1e-9)


@pytest.mark.slow  # Each part without a graph: above. Loops in a graph: test_recomputation.
def test_the_joint_step_can_be_traced_with_loops_within_loops(case):
    """Its tape is persistent, for which TensorFlow would take the gradient of each loop as it comes to it."""
    networks, example, _ = case
    changes = {"training.micro_batches": 2, "training.micro_batch_statistics": "micro_batch"}
    unmoved = types.SimpleNamespace(apply_gradients=lambda *args, **kwargs: None)
    networks = types.SimpleNamespace(
        generator=networks.generator,
        discriminator=networks.discriminator,
        generator_optimizer=unmoved,
        discriminator_optimizer=unmoved,
    )
    step = TrainingStep(tiny_config(**changes, **{"training.recompute": True}), networks, image_encoder)
    traced = tf.function(step.joint_step, autograph=False).get_concrete_function(example)
    assert "g/loss" in traced.structured_outputs


def test_replicas_do_not_share_statistics_of_micro_batches(monkeypatch):
    monkeypatch.setattr(step_lib, "num_replicas", lambda: 2)
    changes = {"training.micro_batches": 2, "training.micro_batch_statistics": "micro_batch"}
    with pytest.raises(
        ValueError, match=r"needs each replica to have its own statistics: set generator\.batch_norm_replicas=1"
    ):
        TrainingStep(tiny_config(**changes), None)
    TrainingStep(tiny_config(**changes, **{"generator.batch_norm_replicas": 1}), None)
