"""Training states that several tests share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from xmcgan.training.state import TrainState


def variables(state: TrainState) -> list[tf.Variable]:
    """Returns everything that a step changes."""
    models = (state.generator, state.ema_generator, state.discriminator)
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    found = [state.step]
    for owner in (*models, *optimizers):
        found += owner.variables() if callable(owner.variables) else owner.variables
    return found


@contextlib.contextmanager
def put_back(state: TrainState) -> Iterator[TrainState]:
    """Gives all variables their present values again at the end."""
    changed = variables(state)
    before = [variable.numpy() for variable in changed]
    try:
        yield state
    finally:
        for variable, value in zip(changed, before):
            variable.assign(value)
