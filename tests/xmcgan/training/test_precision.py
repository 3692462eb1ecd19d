"""Mixed precision: what is in 16 bits and what is not, how near it comes, and loss scaling."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tests.support.tiny_networks import image_encoder, random_example, tiny_config
from xmcgan.models.precision import activations_in, at_least_float32
from xmcgan.training.state import Adam, TrainState, build_discriminator, build_generator
from xmcgan.training.step import TrainingStep

BATCH = 4
PRECISIONS = {"bfloat16": tf.bfloat16, "float16": tf.float16}


@pytest.mark.parametrize("precision", ["float32", *PRECISIONS])
def test_only_layers_made_within_are_concerned(precision):
    with activations_in(precision):
        within = tf.keras.layers.Dense(1)
    assert within.compute_dtype == precision
    assert within.variable_dtype == "float32"
    assert tf.keras.layers.Dense(1).compute_dtype == "float32"


def test_the_narrow_is_widened_and_the_wide_stays():
    found = {
        name: at_least_float32(tf.zeros([1], name)).dtype for name in ("float16", "bfloat16", "float32", "float64")
    }
    assert found == {"float16": tf.float32, "bfloat16": tf.float32, "float32": tf.float32, "float64": tf.float64}


# What float16 alone has, a scale of the loss: `test_a_step_that_overflows_is_left_out_and_the_scale_lowered`.
@pytest.fixture(scope="module", params=["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def case(request):
    config = tiny_config(**{"training.precision": request.param})
    return config, TrainState(config), random_example(config, BATCH)


def test_weights_and_states_are_in_32_bits(case):
    _, state, _ = case
    variables = [v for model in (state.generator, state.discriminator, state.ema_generator) for v in model.variables]
    assert {variable.dtype for variable in variables} == {tf.float32}
    assert state.ema_generator.compute_dtype == "float32"  # What is looked at and kept.


def test_convolutions_are_in_16_bits_and_what_sums_up_or_divides_in_32(case):
    config, state, example = case
    parameters = state.discriminator.parameters

    def passes(z, text, images):
        drawn = state.generator(z, text, use_batch_statistics=True)
        output = state.discriminator(images, text.sentence, parameters(training=False))
        return drawn.image, drawn.attention, [s for each in drawn.statistics for s in each], tuple(output)

    traced = tf.function(passes, autograph=False).get_concrete_function(example.z, example.text, example.image)
    dtypes = {}
    for op in traced.graph.get_operations():
        dtypes.setdefault(op.type, set()).update(x.dtype for x in op.inputs if x.dtype.is_floating)
    assert dtypes["Conv2D"] == dtypes["Conv2DBackpropInput"] == {PRECISIONS[config.training.precision]}
    for kind in ("Softmax", "Rsqrt", "Mean", "Tanh", "Sqrt"):  # Attention, batch norm, images, norms
        assert dtypes[kind] == {tf.float32}, kind
    assert {output.dtype for output in tf.nest.flatten(traced.structured_outputs)} == {tf.float32}


def test_images_and_verdicts_are_near_those_in_32_bits(case):
    config, state, example = case
    generator, discriminator = build_generator(config), build_discriminator(config)
    for ours, theirs in ((generator, state.generator), (discriminator, state.discriminator)):
        for variable, value in zip(ours.variables, theirs.variables):
            variable.assign(value)
    exact = generator(example.z, example.text, use_batch_statistics=True).image
    found = state.generator(example.z, example.text, use_batch_statistics=True).image
    np.testing.assert_allclose(found, exact, atol=0.06)
    narrow = state.discriminator(example.image, example.text.sentence)
    for found, expected in zip(narrow, discriminator(example.image, example.text.sentence)):
        np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


def test_a_step_trains(case):
    config, state, example = case
    before = [variable.numpy() for variable in state.discriminator.trainable_variables]
    update = TrainingStep(config, state, image_encoder)
    for _ in range(16):  # Loss scaling begins high and leaves out steps until the gradients fit.
        metrics = update.discriminator_step(example)
        assert np.isfinite(list(metrics.values())).all()
        if metrics["d/gradient_norm"] > 0:
            break
    assert metrics["d/gradient_norm"] > 0
    assert any(np.any(v.numpy() != value) for v, value in zip(state.discriminator.trainable_variables, before))


def test_a_step_that_overflows_is_left_out_and_the_scale_lowered():
    config = tiny_config(**{"training.precision": "float16"})
    example = random_example(config, BATCH)
    generator, discriminator = build_generator(config, "float16"), build_discriminator(config, "float16")
    optimizer = tf.keras.mixed_precision.LossScaleOptimizer(
        Adam(1e-3, 0.5, 0.999, 1e-8, jit_compile=False), initial_scale=2.0**60
    )
    optimizer.build(discriminator.trainable_variables)
    networks = types.SimpleNamespace(
        generator=generator, discriminator=discriminator, discriminator_optimizer=optimizer
    )
    before = [variable.numpy() for variable in discriminator.trainable_variables]
    metrics = TrainingStep(config, networks, image_encoder).discriminator_step(example)
    assert metrics["d/gradient_norm"] == 0.0
    assert np.isfinite(metrics["d/loss"])
    assert optimizer.loss_scale == 2.0**59
    for variable, value in zip(discriminator.trainable_variables, before):
        np.testing.assert_array_equal(variable, value)
