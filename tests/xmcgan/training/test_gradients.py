"""The gradients of both total losses, all losses on, against finite differences in double precision."""

import types

import numpy as np
import pytest

from tests.support.tiny_networks import build_networks, image_encoder, random_example, tiny_config
from xmcgan.models.spectral_norm import SpectralNormalization
from xmcgan.training.step import TrainingStep

BATCH = 3
STEP = 1e-8  # Greater ones step over the kink of some pixel's ReLU.


class _Recorder:
    """In an optimizer's place: keeps the gradients, moves nothing."""

    def apply_gradients(self, gradients_and_variables, **kwargs):
        self.gradients = [gradient.numpy() for gradient, _ in gradients_and_variables]


def _settle(discriminator):
    """Gives every u its limit: only there is sigma's derivative that of the largest singular value."""
    for layer in discriminator.submodules:
        if isinstance(layer, SpectralNormalization):
            matrix = np.reshape(layer.kernel, [-1, layer.kernel.shape[-1]])
            layer.u.assign(np.linalg.svd(matrix, full_matrices=False)[2][:1])


def _check(run, networks, network, metric):
    """Slope along a random direction through all trainable variables at once."""
    variables = getattr(networks, network).trainable_variables
    _settle(networks.discriminator)
    run()
    gradients = getattr(networks, f"{network}_optimizer").gradients
    rng = np.random.default_rng(4)
    directions = [rng.normal(size=variable.shape) for variable in variables]
    slope = sum(np.sum(gradient * direction) for gradient, direction in zip(gradients, directions))

    values = []
    start = [variable.numpy() for variable in variables]
    for step in (STEP, -STEP):
        for variable, value, direction in zip(variables, start, directions):
            variable.assign(value + step * direction)
        _settle(networks.discriminator)
        values.append(run()[metric].numpy())
    for variable, value in zip(variables, start):
        variable.assign(value)
    np.testing.assert_allclose(slope, (values[0] - values[1]) / (2 * STEP), rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param(
            {
                "losses.direction": "single",
                "losses.context_regions": "normalized",
                "generator.context_words": "normalized",
                "generator.stem": "noise",
                "discriminator.contrastive_head_layers": 2,
                "text.dim": 260,  # More than regions: the other form of the word scores.
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["paper", "other_choices"],
)
def test_gradients_of_both_losses(changes, float64):
    config = tiny_config(**changes)
    example = random_example(config, BATCH, dtype="float64")
    generator, discriminator = build_networks(config, example)
    networks = types.SimpleNamespace(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=_Recorder(),
        discriminator_optimizer=_Recorder(),
    )
    update = TrainingStep(config, networks, image_encoder)
    _check(lambda: update.joint_step(example), networks, "discriminator", "d/loss")
    _check(lambda: update.joint_step(example), networks, "generator", "g/loss")
    _check(lambda: update.discriminator_step(example), networks, "discriminator", "d/loss")
    _check(lambda: update.generator_step(example), networks, "generator", "g/loss")
