"""Where in the networks a number that is not finite came from: the iteration is run once more, under watch."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import tensorflow as tf
from absl import logging

from xmcgan.config import Config
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.state import TrainState

_Layer, _Optimizer = tf.keras.layers.Layer, tf.keras.optimizers.Optimizer


def finder(
    strategy: tf.distribute.Strategy,
    config: Config,
    state: TrainState,
    checkpoints: Checkpoints,
    batches_from: Callable[[int], Iterator],
    run_steps: Callable[[Iterator, int], dict[str, np.ndarray]],
) -> Callable[[int], str | None]:
    """Makes a function that replays a run up to a step, and runs this one without a graph and under watch.

    The run is a function of its config: what happened after its last checkpoint happens again.

    Args:
      strategy: the replicas.
      config: the experiment.
      state: of the run; is no longer of use afterwards.
      checkpoints: of the run.
      batches_from: of a number of steps done, the batches of those to come.
      run_steps: runs as many steps on batches, see `loop.compiled_steps`.

    Returns:
      A function of a step, from 1, that returns the first place in it with numbers that are not finite, in words; None
      if all are finite this time, which rounding may decide.
    """

    def find(step: int) -> str | None:
        if not checkpoints.restore_latest():
            with strategy.scope():
                beginning = TrainState(config)
            with tempfile.TemporaryDirectory() as folder:
                state.restore(beginning.write(os.path.join(folder, "beginning"))).expect_partial()
        done = int(state.step.numpy())
        logging.info("step %d is not finite: training from step %d on again, to see where that begins", step, done)
        batches = batches_from(done)
        if step - 1 > done:
            run_steps(batches, step - 1 - done)
        with watched() as found, _without_graphs():
            run_steps(batches, 1)
        return found[0] if found else None

    return find


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Watches the outputs of layers and the gradients that optimizers are given; outside of graphs.

    Yields:
      A list that receives the places of numbers that are not finite, in the order of their computation: 'the output of
      generator/word_block_1/conv_0' or 'the gradient of generator/stem/kernel'.
    """
    found: list[str] = []
    path = threading.local()  # Each replica has a thread of its own.
    call, apply_gradients = _Layer.__call__, _Optimizer.apply_gradients

    @functools.wraps(call)
    def watched_call(layer: _Layer, *args: Any, **kwargs: Any) -> Any:
        before = getattr(path, "names", ())
        path.names = (*before, layer.name)
        try:
            outputs = call(layer, *args, **kwargs)
            if not _finite(outputs):
                found.append(f"the output of {'/'.join(path.names)}")
            return outputs
        finally:
            path.names = before

    @functools.wraps(apply_gradients)
    def watched_gradients(optimizer: _Optimizer, grads_and_vars: Any, *args: Any, **kwargs: Any) -> Any:
        pairs = list(grads_and_vars)
        found.extend(f"the gradient of {variable.name.partition(':')[0]}" for g, variable in pairs if not _finite(g))
        return apply_gradients(optimizer, pairs, *args, **kwargs)

    _Layer.__call__, _Optimizer.apply_gradients = watched_call, watched_gradients
    try:
        yield found
    finally:
        _Layer.__call__, _Optimizer.apply_gradients = call, apply_gradients


@contextlib.contextmanager
def _without_graphs() -> Iterator[None]:
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _finite(tensors: Any) -> bool:
    """Whether all numbers are finite; True of what has none, and of tensors of a graph."""
    return all(
        bool(tf.reduce_all(tf.math.is_finite(tensor)))
        for tensor in tf.nest.flatten(tensors)
        if isinstance(tensor, tf.Tensor) and hasattr(tensor, "numpy") and tensor.dtype.is_floating
    )
