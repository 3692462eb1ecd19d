"""Functions whose activations are not kept for the gradient but computed again, for a part of the batch at a time.

One mechanism serves four purposes. Over the whole batch it is gradient checkpointing. Over parts of it, applied to the
discriminator, it trains with a batch that the device cannot hold: the losses see the features of the whole batch, and
their gradients with respect to the features are there before the first part is worked through again. Applied to the
generator between one batch normalization and the next, it leaves the statistics those of the whole batch. Applied to
the word loss, it bounds its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import tensorflow as tf
from tensorflow.python.eager import record  # Tapes have no public way to look away from within.

Function = Callable[..., Any]
# What `recompute` and `keep` are: a function -> one of the same signature that equals it.
Wrapper = Callable[[Function], Function]


def keep(function: Function) -> Function:
    """The function itself, whose activations are kept for the gradient: what `recompute` stands in for."""
    return function


def recompute(function: Function, *, parts: int = 1, frozen: bool = False) -> Function:
    """The function in parts of the batch, of which only the arguments are kept for the gradient.

    As `tf.recompute_grad` and JAX's `jax.checkpoint`, but for the parts. Equal to the function in values and
    gradients, up to the order in which the parts' gradients with respect to keyword arguments and variables are summed
    up. The function must be free of effects and, with several parts, of collectives, as it is called again and in a
    loop.

    Args:
      function: returns a structure of tensors, or Nones, whose first axis is the batch's or has as many rows in each
        part. Its positional arguments are structures of tensors [batch, ...] with a static batch, or Nones: each part
        sees its rows. Its keyword arguments are structures that each part sees whole. Other tensors that it uses are
        constants to the gradient.
      parts: how many; divides the batch.
      frozen: keyword arguments and variables are constants. Otherwise they receive their gradients, as far as they are
        trainable.

    Returns:
      A function of the same signature; it returns the results of several parts one after another along the first axis.
    """

    def recomputed(*rows: Any, **shared: Any) -> Any:
        return _Call(function, rows, shared, parts, frozen).run()

    return recomputed


class _Call:
    """One call of a recomputed function. Its tensors stand in one list, those that are split into parts first."""

    def __init__(self, function: Function, rows: tuple, shared: dict[str, Any], parts: int, frozen: bool):
        self._function = function
        self._arguments = (rows, shared)
        self._num_rows = len(_tensors(rows))
        self._parts = parts
        self._frozen = frozen
        self._outputs_like: Any = None  # Until the function has been called.

    def run(self) -> Any:
        @tf.custom_gradient
        def run(*tensors: tf.Tensor):
            def gradient(*upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None):
                return self._gradient(tensors, upstream, variables)

            with record.stop_recording():  # Or a persistent tape has the loop trace its own gradient, unused.
                outputs, _ = _collect(lambda i: (self._compute(self._part(tensors, i)), []), self._parts)
            return outputs, gradient

        outputs = tf.nest.flatten(run(*_tensors(self._arguments)))
        return _pack(self._outputs_like, outputs)

    def _part(self, tensors: Sequence[tf.Tensor], i: int | tf.Tensor) -> list[tf.Tensor]:
        """What the i-th part sees."""
        rows, shared = tensors[: self._num_rows], tensors[self._num_rows :]
        return [*(_part(x, i, self._parts) for x in rows), *shared]

    def _compute(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        rows, shared = _pack(self._arguments, tensors)
        self._outputs_like = self._function(*rows, **shared)
        return _tensors(self._outputs_like)

    def _receives_gradient(self, i: int, x: tf.Tensor) -> bool:
        return x.dtype.is_floating and (i < self._num_rows or not self._frozen)

    def _sources(self, tensors: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """What receives gradients: of rows, and of what all parts share."""
        sources = [(i, x) for i, x in enumerate(tensors) if self._receives_gradient(i, x)]
        return [x for i, x in sources if i < self._num_rows], [x for i, x in sources if i >= self._num_rows]

    def _gradient(
        self, tensors: Sequence[tf.Tensor], upstream: Sequence[tf.Tensor], variables: Sequence[tf.Variable] | None
    ) -> Any:
        """What a custom gradient returns: the gradients of the tensors, and of the variables if there are any."""
        upstream = [tf.convert_to_tensor(g) for g in upstream]
        trained = [] if self._frozen else list(variables or ())

        def part_gradients(i: int | tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            given = self._part(tensors, i)
            if self._parts == 1:  # Outside of a loop nothing else keeps it from being computed at once.
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
    """Puts tensors in the places of the tensors of another structure, whose Nones stay."""
    rest = iter(tensors)
    return tf.nest.map_structure(lambda x: None if x is None else next(rest), like)


def _part(x: tf.Tensor, i: int | tf.Tensor, parts: int) -> tf.Tensor:
    """Rows of the i-th part: [batch, ...] -> [batch / parts, ...]."""
    if parts == 1:
        return x
    rows = x.shape[0] // parts
    return tf.slice(x, [i * rows, *[0] * (x.shape.rank - 1)], [rows, *x.shape[1:]])  # Of static size, for XLA.


def _collect(
    compute_part: Callable[[int | tf.Tensor], tuple[list[tf.Tensor], list[tf.Tensor]]],
    parts: int,
    like: tuple[list[tf.Tensor], list[tf.Tensor]] | None = None,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Goes through the parts one after another, so that one is held at a time.

    Args:
      compute_part: number of a part -> tensors [rows, ...], and tensors of which the parts' sum counts.
      parts: how many.
      like: tensors of the shapes and types of the result; None finds them out from the first part.

    Returns:
      The former of all parts, [parts * rows, ...], and the sums of the latter.
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
    """The same tensors, but not before the upstream gradients are there.

    A dependency on data, as graph optimizers drop others and then merge what is computed again with what was.
    """
    firsts = [tf.cast(tf.reshape(g, [-1])[0], tf.float32) for g in upstream]
    total = tf.add_n(firsts)
    zero = tf.where(tf.math.is_finite(total), 0.0, float("nan"))
    return [x + tf.cast(zero, x.dtype) if x.dtype.is_floating else x for x in tensors]
