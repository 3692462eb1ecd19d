"""Functions that recompute activations in the backward pass instead of keeping them, one part of the batch at a time.

One mechanism serves four purposes. Over the whole batch it is gradient checkpointing. In parts, applied to the
discriminator, it trains with a batch that the device cannot hold: the losses see the features of the whole batch, and
their gradients with respect to the features are computed before the first part is recomputed. Applied to the generator
between one batch normalization and the next, it keeps the batch statistics those of the whole batch. Applied to the
word loss, it bounds the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import tensorflow as tf
from tensorflow.python.eager import record  # There is no public way to pause a tape from inside a function.

Function = Callable[..., Any]
# The type of `recompute` and `keep`: takes a function, and returns an equal one of the same signature.
Wrapper = Callable[[Function], Function]


def keep(function: Function) -> Function:
    """Returns the function itself, whose activations are kept for the gradient: the alternative to `recompute`."""
    return function


def recompute(function: Function, *, parts: int = 1, frozen: bool = False) -> Function:
    """Wraps a function to run on parts of the batch, and to keep only its arguments for the gradient.

    This is `tf.recompute_grad`, or JAX's `jax.checkpoint`, with the addition of parts. Values and gradients are those
    of the function, up to the order in which the parts' gradients with respect to keyword arguments and variables are
    summed. The function must have no side effects, since it is called again. With several parts it must not contain
    collective operations either, since it is called in a loop.

    Args:
      function: returns a structure of tensors or Nones. Their first axis is the batch, or has the same number of rows
        in each part. Positional arguments are structures of tensors [batch, ...] with a static batch, or Nones; each
        part sees its own rows. Keyword arguments are structures that each part sees whole. Any other tensors that the
        function uses are constants to the gradient.
      parts: the number of parts, a divisor of the batch.
      frozen: whether keyword arguments and variables are constants. Otherwise they receive gradients, if they are
        trainable.

    Returns:
      A function of the same signature; the results of the parts are concatenated along the first axis.
    """

    def recomputed(*rows: Any, **shared: Any) -> Any:
        return _Call(function, rows, shared, parts, frozen).run()

    return recomputed


class _Call:
    """One call of a recomputed function; its tensors form one list, and those that are split into parts come first."""

    def __init__(self, function: Function, rows: tuple, shared: dict[str, Any], parts: int, frozen: bool):
        self._function = function
        self._arguments = (rows, shared)
        self._num_rows = len(_tensors(rows))
        self._parts = parts
        self._frozen = frozen
        self._outputs_like: Any = None  # The structure of the outputs, known after the first call of the function.

    def run(self) -> Any:
        @tf.custom_gradient
        def run(*tensors: tf.Tensor):
            def gradient(*upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None):
                return self._gradient(tensors, upstream, variables)

            with record.stop_recording():  # Otherwise a persistent tape would trace the loop's own gradient in vain.
                outputs, _ = _collect(lambda i: (self._compute(self._part(tensors, i)), []), self._parts)
            return outputs, gradient

        outputs = tf.nest.flatten(run(*_tensors(self._arguments)))
        return _pack(self._outputs_like, outputs)

    def _part(self, tensors: Sequence[tf.Tensor], i: int | tf.Tensor) -> list[tf.Tensor]:
        """Returns the tensors that the i-th part sees."""
        rows, shared = tensors[: self._num_rows], tensors[self._num_rows :]
        return [*(_part(x, i, self._parts) for x in rows), *shared]

    def _compute(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        rows, shared = _pack(self._arguments, tensors)
        self._outputs_like = self._function(*rows, **shared)
        return _tensors(self._outputs_like)

    def _receives_gradient(self, i: int, x: tf.Tensor) -> bool:
        return x.dtype.is_floating and (i < self._num_rows or not self._frozen)

    def _sources(self, tensors: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Returns the tensors that receive gradients: those that are split into parts, and those that parts share."""
        sources = [(i, x) for i, x in enumerate(tensors) if self._receives_gradient(i, x)]
        return [x for i, x in sources if i < self._num_rows], [x for i, x in sources if i >= self._num_rows]

    def _gradient(
        self, tensors: Sequence[tf.Tensor], upstream: Sequence[tf.Tensor], variables: Sequence[tf.Variable] | None
    ) -> Any:
        """Returns the gradients of the tensors, and of the variables if there are any, as a custom gradient does."""
        upstream = [tf.convert_to_tensor(g) for g in upstream]
        trained = [] if self._frozen else list(variables or ())

        def part_gradients(i: int | tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            given = self._part(tensors, i)
            if self._parts == 1:  # Outside of a loop, nothing else delays the recomputation until it is needed.
                given[: self._num_rows] = _after(upstream, given[: self._num_rows])
            rows, shared = self._sources(given)
            sources = [*rows, *shared, *trained]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(sources)
                outputs = self._compute(given)
            gradients = tape.gradient(
                outputs,
                sources,
                output_gradients=[_part(g, i, self._parts) for g in upstream],
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
            return gradients[: len(rows)], gradients[len(rows) :]

        rows, shared = self._sources(tensors)
        d_rows, d_shared = _collect(part_gradients, self._parts, (rows, [*shared, *trained]))
        gradients = iter([*d_rows, *d_shared])
        d_tensors = [next(gradients) if self._receives_gradient(i, x) else None for i, x in enumerate(tensors)]
        if variables is None:
            return d_tensors
        return d_tensors, [None] * len(variables) if self._frozen else list(gradients)


def _tensors(structure: Any) -> list[tf.Tensor]:
    return [x for x in tf.nest.flatten(structure) if x is not None]


def _pack(like: Any, tensors: Sequence[tf.Tensor]) -> Any:
    """Packs tensors into the structure of `like`, whose Nones stay."""
    rest = iter(tensors)
    return tf.nest.map_structure(lambda x: None if x is None else next(rest), like)


def _part(x: tf.Tensor, i: int | tf.Tensor, parts: int) -> tf.Tensor:
    """Returns the rows of the i-th part: [batch, ...] -> [batch / parts, ...]."""
    if parts == 1:
        return x
    rows = x.shape[0] // parts
    return tf.slice(x, [i * rows, *[0] * (x.shape.rank - 1)], [rows, *x.shape[1:]])  # XLA needs the static size.


def _collect(
    compute_part: Callable[[int | tf.Tensor], tuple[list[tf.Tensor], list[tf.Tensor]]],
    parts: int,
    like: tuple[list[tf.Tensor], list[tf.Tensor]] | None = None,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Computes the parts one after another, so that only one is held at a time.

    Args:
      compute_part: takes the number of a part; returns tensors [rows, ...] to concatenate, and tensors to sum.
      parts: the number of parts.
      like: tensors with the shapes and types of the result; None takes them from the first part.

    Returns:
      The concatenated tensors, [parts * rows, ...], and the sums.
    """
    if parts == 1:
        return compute_part(0)
    if like is None:
        first_rows, sums = compute_part(0)
        shapes = [x.shape for x in first_rows]
        arrays = [tf.TensorArray(x.dtype, parts, element_shape=x.shape).write(0, x) for x in first_rows]
    else:
        shapes = [tf.TensorShape([x.shape[0] // parts, *x.shape[1:]]) for x in like[0]]
        arrays = [tf.TensorArray(x.dtype, parts, element_shape=shape) for x, shape in zip(like[0], shapes)]
        sums = [tf.zeros(x.shape, x.dtype) for x in like[1]]

    def body(i: tf.Tensor, arrays: list[tf.TensorArray], sums: list[tf.Tensor]):
        rows, more = compute_part(i)
        return i + 1, [array.write(i, x) for array, x in zip(arrays, rows)], [a + b for a, b in zip(sums, more)]

    start = tf.constant(1 if like is None else 0)
    _, arrays, sums = tf.while_loop(lambda i, *_: i < parts, body, [start, arrays, sums], parallel_iterations=1)
    joined = [tf.reshape(array.stack(), [parts * s[0], *s[1:]]) for array, s in zip(arrays, shapes)]
    return joined, sums


def _after(upstream: Sequence[tf.Tensor], tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the same tensors, delayed until the upstream gradients have been computed.

    The delay is a data dependency: graph optimizers drop control dependencies, and would then merge the recomputation
    with the first computation.
    """
    firsts = [tf.cast(tf.reshape(g, [-1])[0], tf.float32) for g in upstream]
    total = tf.add_n(firsts)
    zero = tf.where(tf.math.is_finite(total), 0.0, float("nan"))
    return [x + tf.cast(zero, x.dtype) if x.dtype.is_floating else x for x in tensors]
