"""Computation on a batch of any size, 0 included, in parts of bounded size."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Callable

import tensorflow as tf

# Makes a function for `map_parts`. Its calls are not inlined: graphs in a loop are optimized less, and 10 % slower.
part_function = functools.partial(tf.function, autograph=False, experimental_attributes={"_noinline": True})


def map_parts(
    function: Callable[..., Sequence[tf.Tensor]],
    rows: Sequence[tf.Tensor],
    outputs_like: Sequence[tf.TensorSpec],
    at_once: int,
) -> list[tf.Tensor]:
    """Calls a function on the parts of a batch one after another, so that memory does not grow with the batch.

    Args:
      function: tensors [part, ...] -> as many tensors as `outputs_like`, [part, ...]; made by `part_function`.
      rows: tensors [batch, ...].
      outputs_like: shapes [None, ...] and types of the function's outputs.
      at_once: the largest size of a part.

    Returns:
      The function's outputs for the whole batch.
    """
    parts = (tf.shape(rows[0])[0] + at_once - 1) // at_once
    arrays = [
        tf.TensorArray(like.dtype, size=parts, infer_shape=False, element_shape=like.shape) for like in outputs_like
    ]

    def body(i: tf.Tensor, arrays: list[tf.TensorArray]) -> tuple[tf.Tensor, list[tf.TensorArray]]:
        outputs = function(*(x[i * at_once : (i + 1) * at_once] for x in rows))
        return i + 1, [array.write(i, output) for array, output in zip(arrays, outputs)]

    _, arrays = tf.while_loop(lambda i, _: i < parts, body, [tf.constant(0), arrays], parallel_iterations=1)
    return [tf.ensure_shape(array.concat(), like.shape) for array, like in zip(arrays, outputs_like)]
