"""Checks gradients of small functions against central differences in double precision."""

from __future__ import annotations

from typing import Callable

import numpy as np
import tensorflow as tf


def check_gradient(function: Callable[..., tf.Tensor], *inputs: np.ndarray) -> None:
    """Compares gradient and difference quotient along a random direction, for one input at a time.

    Args:
      function: the function, from tensors to a scalar.
      *inputs: its inputs, in double precision.
    """
    tensors = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    for i, gradient in enumerate(tape.gradient(value, tensors)):
        direction = np.random.default_rng(10).normal(size=inputs[i].shape)
        moved = [[*inputs[:i], inputs[i] + step * direction, *inputs[i + 1 :]] for step in (1e-5, -1e-5)]
        ahead, behind = (function(*(tf.constant(x) for x in each)).numpy() for each in moved)
        np.testing.assert_allclose(np.sum(gradient * direction), (ahead - behind) / 2e-5, rtol=1e-7)
