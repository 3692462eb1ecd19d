"""A run whose numbers are no longer finite is stopped, and told where in the networks that began.

For this the iteration is run once more, under watch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Callable

import numpy as np
import tensorflow as tf
from absl import logging

from xmcgan.config import Config
from xmcgan.files import write_text
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.state import TrainState
from xmcgan.training.summaries import json_line


@dataclasses.dataclass(frozen=True)
class Replay:
    """What it takes to run a training up to a step once more: it is a function of its config.

    Attributes:
      strategy: the replicas.
      config: the experiment.
      state: of the run; is no longer of use afterwards.
      checkpoints: of the run.
      batches_from: of a number of steps done, the batches of those to come.
      run_steps: runs as many steps on batches, see `loop.compiled_steps`.
    """

    strategy: tf.distribute.Strategy
    config: Config
    state: TrainState
    checkpoints: Checkpoints
    batches_from: Callable[[int], Iterable]
    run_steps: Callable[[Iterator, int], Any]

    def first_place(self, step: int) -> str | None:
        """Runs up to a step, from 1, and this one without a graph and under watch.

        Returns:
          The first place in it with numbers that are not finite, in words; None if all are finite this time, which
          rounding may decide.
        """
        if not self.checkpoints.restore_latest():
            with self.strategy.scope():
                beginning = TrainState(self.config)
            with tempfile.TemporaryDirectory() as folder:
                self.state.restore(beginning.write(os.path.join(folder, "beginning"))).expect_partial()
        done = int(self.state.step.numpy())
        logging.info("step %d is not finite: training from step %d on again, to see where that begins", step, done)
        batches = iter(self.batches_from(done))
        if step - 1 > done:
            self.run_steps(batches, step - 1 - done)
        with watched() as found, _without_graphs():
            self.run_steps(batches, 1)
        return found[0] if found else None


def stop_if_not_finite(
    workdir: str, first_step: int, metrics: dict[str, np.ndarray], replay: Replay | None = None
) -> None:
    """Stops the run at the first step with a number that is none; the step's numbers are kept beside the metrics.

    Args:
      workdir: folder of the run.
      first_step: the step before these.
      metrics: {name: [steps]}.
      replay: of the run, to see where in the networks it came from.

    Raises:
      FloatingPointError: names the step, the metric, the place and the file.
    """
    values = np.stack(list(metrics.values()), axis=1)  # [steps, metrics]
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    row = int(np.argmax(bad.any(axis=1)))
    step = first_step + row + 1
    path = os.path.join(workdir, f"not_finite_step_{step:07d}.json")
    numbers = dict(zip(metrics, values[row].tolist()))
    write_text(path, json_line({"step": step, **numbers}))
    name, value = next((name, value) for name, value in numbers.items() if not math.isfinite(value))
    place = _first_place(replay, step) if replay else None
    raise FloatingPointError(
        f"{name} is {value} at step {step}{f', first in {place}' if place else ''}: the step's numbers are in {path}, "
        "checkpoints before it are intact: lower the learning rates, or try another --config.training.seed in a new "
        "--workdir"
    )


def _first_place(replay: Replay, step: int) -> str | None:
    try:
        return replay.first_place(step)
    except Exception as error:  # Whatever it is: what is to be told is the number.
        logging.warning("the layer could not be found: %s", error)
        return None


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Watches the outputs of layers and the gradients that optimizers are given; outside of graphs.

    Yields:
      A list that receives the places of numbers that are not finite, in the order of their computation: 'the output of
      generator/word_block_1/conv_0' or 'the gradient of generator/stem/kernel'.
    """
    found: list[str] = []
    path = threading.local()  # Each replica has a thread of its own.
    layer_class, optimizer_class = tf.keras.layers.Layer, tf.keras.optimizers.Optimizer
    call, apply_gradients = layer_class.__call__, optimizer_class.apply_gradients

    @functools.wraps(call)
    def watched_call(layer: tf.keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
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
    def watched_gradients(
        optimizer: tf.keras.optimizers.Optimizer, grads_and_vars: Any, *args: Any, **kwargs: Any
    ) -> Any:
        pairs = list(grads_and_vars)
        found.extend(f"the gradient of {variable.name.partition(':')[0]}" for g, variable in pairs if not _finite(g))
        return apply_gradients(optimizer, pairs, *args, **kwargs)

    layer_class.__call__, optimizer_class.apply_gradients = watched_call, watched_gradients
    try:
        yield found
    finally:
        layer_class.__call__, optimizer_class.apply_gradients = call, apply_gradients


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
