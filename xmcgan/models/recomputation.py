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


def directly(
    function: Callable[..., Any], rows: Sequence[Any], shared: Sequence[Any] = (), *, constant_rows: Sequence[Any] = ()
) -> Any:
    """Calls the function: what `recompute` equals, with everything kept for the gradient."""
    return function(*rows, *constant_rows, *shared)


def recompute(
    function: Callable[..., Any],
    rows: Sequence[Any],
    shared: Sequence[Any] = (),
    *,
    constant_rows: Sequence[Any] = (),
    parts: int = 1,
    frozen: bool = False,
) -> Any:
    """`function(*rows, *constant_rows, *shared)` in parts of the batch, keeping only the arguments for the gradient.

    Equal to the call itself in values and gradients, up to the order in which the parts' gradients with respect to
    `shared` and to variables are summed up. The function must be free of effects and, with several parts, of
    collectives, as it is called again and in a loop.

    Args:
      function: tensors -> a structure of tensors, or Nones, whose first axis is the batch's or has as many rows in
        each part.
      rows: structures of tensors [batch, ...] with a static batch, or Nones; each part sees its share.
      shared: structures of tensors, or Nones, that each part sees whole.
      constant_rows: like `rows`, but without gradient.
      parts: how many; divides the batch.
      frozen: `shared` and variables are constants. Otherwise they receive their gradients, as far as they are
        trainable; other tensors that the function uses are constants in any case.

    Returns:
      What the function returns; that of several parts one after another along the first axis.
    """
    arguments = [list(rows), list(constant_rows), list(shared)]
    num_rows, num_constants, _ = (len(_tensors(part)) for part in arguments)
    num_split = num_rows + num_constants
    outputs_like: list[Any] = []

    def call(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        outputs = function(*(x for part in _pack(arguments, tensors) for x in part))
        outputs_like[:] = [outputs]
        return _tensors(outputs)

    def takes_gradient(i: int, x: tf.Tensor) -> bool:
        return x.dtype.is_floating and (i < num_rows or (i >= num_split and not frozen))

    def sources_of(given: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """What receives gradients: what a part has alone, and what all parts share."""
        own = [x for i, x in enumerate(given[:num_split]) if takes_gradient(i, x)]
        return own, [x for i, x in enumerate(given) if i >= num_split and takes_gradient(i, x)]

    @tf.custom_gradient
    def run(*tensors: tf.Tensor):
        def part(i: int | tf.Tensor) -> list[tf.Tensor]:
            return [_part(x, i, parts) for x in tensors[:num_split]] + list(tensors[num_split:])

        def gradient(*upstream: tf.Tensor, variables: Sequence[tf.Variable] | None = None):
            upstream = [tf.convert_to_tensor(g) for g in upstream]
            trained = [] if frozen else list(variables or ())

            def of_part(i: int | tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
                given = part(i)
                if parts == 1:  # Outside of a loop nothing else keeps it from being computed at once.
                    given[:num_split] = _after(upstream, given[:num_split])
                own, common = sources_of(given)
                sources = [*own, *common, *trained]
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(sources)
                    outputs = call(given)
                results = tape.gradient(
                    outputs,
                    sources,
                    output_gradients=[_part(g, i, parts) for g in upstream],
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                results = [tf.convert_to_tensor(result) for result in results]
                return results[: len(own)], results[len(own) :]

            own, common = sources_of(tensors)
            of_rows, of_common = _collect(of_part, parts, (own, [*common, *trained]))
            results = iter([*of_rows, *of_common])
            inputs = [next(results) if takes_gradient(i, x) else None for i, x in enumerate(tensors)]
            if variables is None:
                return inputs
            return inputs, [None] * len(variables) if frozen else list(results)

        outputs, _ = _collect(lambda i: (call(part(i)), []), parts)
        return outputs, gradient

    outputs = tf.nest.flatten(run(*_tensors(arguments)))
    return _pack(outputs_like[0], outputs)


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
    of_part: Callable[[int | tf.Tensor], tuple[list[tf.Tensor], list[tf.Tensor]]],
    parts: int,
    like: tuple[list[tf.Tensor], list[tf.Tensor]] | None = None,
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Goes through the parts one after another, so that one is held at a time.

    Args:
      of_part: number of a part -> tensors [rows, ...], and tensors of which the parts' sum counts.
      parts: how many.
      like: tensors of the shapes and types of the result; None finds them out from the first part.

    Returns:
      The former of all parts, [parts * rows, ...], and the sums of the latter.
    """
    if parts == 1:
        return of_part(0)
    if like is None:
        first_rows, sums = of_part(0)
        shapes = [x.shape for x in first_rows]
        arrays = [tf.TensorArray(x.dtype, parts, element_shape=x.shape).write(0, x) for x in first_rows]
    else:
        shapes = [tf.TensorShape([x.shape[0] // parts, *x.shape[1:]]) for x in like[0]]
        arrays = [tf.TensorArray(x.dtype, parts, element_shape=shape) for x, shape in zip(like[0], shapes)]
        sums = [tf.zeros(x.shape, x.dtype) for x in like[1]]

    def body(i: tf.Tensor, arrays: list[tf.TensorArray], sums: list[tf.Tensor]):
        rows, more = of_part(i)
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
