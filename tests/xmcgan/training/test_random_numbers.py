import numpy as np
import pytest
import tensorflow as tf

from tests.support.tiny_networks import tiny_config
from xmcgan.training import random_numbers
from xmcgan.training.augmentation import NUM_RANDOM
from xmcgan.training.random_numbers import Draw


def _rows(distribution="normal", seed=1, step=5, number=0, shape=(8, 3)):
    return random_numbers.rows(Draw(distribution, shape, number), seed, tf.constant(step, tf.int64)).numpy()


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_they_are_a_function_of_seed_step_and_draw(distribution):
    first = _rows(distribution)
    np.testing.assert_array_equal(_rows(distribution), first)
    assert first.shape == (8, 3) and first.dtype == np.float32
    others = [{"seed": 2}, {"step": 6}, {"number": 1}, {"seed": 0, "number": 1}, {"seed": 5, "step": 1}]
    for other in others:
        assert not np.any(_rows(distribution, **other) == first)
    for a in range(8):
        for b in range(a):
            assert not np.any(first[a] == first[b])


def test_distributions():
    z = _rows("normal", shape=(4000, 10))
    np.testing.assert_allclose([z.mean(), z.std(), (z**3).mean(), (z**4).mean()], [0, 1, 0, 3], atol=0.1)
    u = _rows("uniform", shape=(4000, 10))
    assert 0 <= u.min() < 1e-3 and 1 - 1e-3 < u.max() < 1
    np.testing.assert_allclose([u.mean(), u.var()], [1 / 2, 1 / 12], atol=0.01)


@pytest.mark.parametrize(
    "update_rule, generator_steps, augmentation, noises, changes",
    [("joint", 1, "none", 2, 0), ("algorithm1", 1, "translation", 3, 3), ("joint", 2, "translation,cutout", 3, 2)],
)
def test_of_an_iteration(update_rule, generator_steps, augmentation, noises, changes):
    """Each D step draws noise, as does each G step, except a joint one; no two draws are the same."""
    options = {"update_rule": update_rule, "generator_steps": generator_steps, "augmentation": augmentation}
    fields = {f"training.{name}": value for name, value in options.items()}
    config = tiny_config(**fields, **{"training.discriminator_steps": 2, "training.batch_size": 4})
    numbers = random_numbers.of_iteration(config, tf.constant(0, tf.int64))
    assert [z.shape for z in numbers.z] == [(4, config.generator.noise_dim)] * noises
    assert [change.shape for change in numbers.changes] == [(4, NUM_RANDOM)] * changes
    assert len({float(rows[0, 0]) for rows in (*numbers.z, *numbers.changes)}) == noises + changes
