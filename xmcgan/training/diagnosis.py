"""Stops a run whose numbers are no longer finite, and finds where in the networks they first occurred.

To find the place, the iteration is run again while layers and gradients are watched.
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
    """Everything that is needed to run a training again up to a step; a run is a function of its config.

    Attributes:
      strategy: the replicas.
      config: the experiment.
      state: the run's state; cannot be used afterwards.
      checkpoints: the run's checkpoints.
      batches_from: takes the number of steps done, and returns the batches of the next steps.
      run_steps: runs a number of steps on batches, see `loop.compiled_steps`.
    """

    strategy: tf.distribute.Strategy
    config: Config
    state: TrainState
    checkpoints: Checkpoints
    batches_from: Callable[[int], Iterable]
    run_steps: Callable[[Iterator, int], Any]

    def first_place(self, step: int) -> str | None:
        """Runs the training again up to a step (counted from 1); that step runs eagerly, and is watched.

        Returns:
          The first place in that step with numbers that are not finite, in words; None if rounding made all of them
          finite this time.
        """
        if not self.checkpoints.restore_latest():
            with self.strategy.scope():
                beginning = TrainState(self.config)
            with tempfile.TemporaryDirectory() as folder:
                self.state.restore(beginning.write(os.path.join(folder, "beginning"))).expect_partial()
        done = int(self.state.step.numpy())
        logging.info("step %d is not finite: training again from step %d, to find where that begins", step, done)
        batches = iter(self.batches_from(done))
        if step - 1 > done:
            self.run_steps(batches, step - 1 - done)
        with watch_non_finite() as found, _without_graphs():
            self.run_steps(batches, 1)
        return found[0] if found else None


def stop_if_not_finite(
    workdir: str, first_step: int, metrics: dict[str, np.ndarray], replay: Replay | None = None
) -> None:
    """Stops the run at the first step with a metric that is not finite, and writes that step's metrics to a file.

    Args:
      workdir: folder of the run.
      first_step: the last step before those in `metrics`.
      metrics: {name: [steps]}.
      replay: of the run, to find the place in the networks; None skips that.

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
        "earlier checkpoints are intact: lower the learning rates, or try another --config.training.seed in a new "
        "--workdir"
    )


def _first_place(replay: Replay, step: int) -> str | None:
    try:
        return replay.first_place(step)
    except Exception as error:  # The number that is not finite must be reported in any case.
        logging.warning("could not find the layer: %s", error)
        return None


@contextlib.contextmanager
def watch_non_finite() -> Iterator[list[str]]:
    """Watches the outputs of layers and the gradients that optimizers receive, in eager execution.

    Yields:
      A list, to which the places of numbers that are not finite are added in the order of their computation, such as
      'the output of generator/word_block_1/conv_0' or 'the gradient of generator/stem/kernel'.
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
            if not _all_finite(outputs):
                found.append(f"the output of {'/'.join(path.names)}")
            return outputs
        finally:
            path.names = before

    @functools.wraps(apply_gradients)
    def watched_gradients(
        optimizer: tf.keras.optimizers.Optimizer, grads_and_vars: Any, *args: Any, **kwargs: Any
    ) -> Any:
        pairs = list(grads_and_vars)
        for gradient, variable in pairs:
            if not _all_finite(gradient):
                found.append(f"the gradient of {variable.name.partition(':')[0]}")
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


def _all_finite(tensors: Any) -> bool:
    """Tells whether all numbers in a structure are finite; True if it has no numbers, or symbolic tensors."""
    return all(
        bool(tf.reduce_all(tf.math.is_finite(tensor)))
        for tensor in tf.nest.flatten(tensors)
        if isinstance(tensor, tf.Tensor) and hasattr(tensor, "numpy") and tensor.dtype.is_floating
    )
