"""Counts the floating-point operations of a traced graph: convolutions and matrix products, which are nearly all."""

from __future__ import annotations

import collections
import math

import tensorflow as tf

from experiments.footprint import liveness

_CONVOLUTIONS = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")
_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")


def count(graph: tf.Graph) -> collections.Counter[str]:
    """Counts the floating-point operations of a graph; a multiplication and an addition count as two.

    A function is counted once for each of its calls, and the body of a loop once for each iteration. Of several
    branches, only the most expensive one is counted.

    Args:
      graph: the graph of a concrete function; the shapes of convolutions and matrix products must be static.

    Returns:
      Floating-point operations by type of TensorFlow operation.

    Raises:
      ValueError: a shape, or the number of iterations of a loop, is not known before the graph runs.
    """
    found: collections.Counter[str] = collections.Counter()
    for op in liveness.needed_ops(graph):
        if op.type in liveness.CALLS:
            found += count(liveness.function_of(graph, op.get_attr("f")))
        elif op.type in liveness.LOOPS:
            iterations = liveness.loop_iterations(graph, op)
            body = count(liveness.function_of(graph, op.get_attr("body")))
            if iterations is not None:
                found += collections.Counter({name: iterations * flop for name, flop in body.items()})
            elif body:
                raise ValueError(f"{op.name}: the iterations of this loop are not known before the graph runs")
        elif op.type in liveness.BRANCHES:
            names = ("then_branch", "else_branch") if "If" in op.type else ("branches",)
            functions = [function for name in names for function in tf.nest.flatten(op.get_attr(name))]
            branches: list[collections.Counter[str]] = [count(liveness.function_of(graph, each)) for each in functions]
            most_expensive = max(branches, key=total)
            found += most_expensive
        else:
            flop = 2 * _multiplications(op)
            if flop:
                found[op.type] += flop
    return found


def total(found: collections.Counter[str]) -> int:
    """Returns the sum over all types."""
    return sum(found.values())


def _multiplications(op: tf.Operation) -> int:
    """Returns the multiplications of an operation; 0 if it is neither a convolution nor a matrix product."""
    if op.type in _CONVOLUTIONS:
        # Each value of the output (forward pass) or of the output's gradient (the two backward passes) takes
        # height * width * in multiplications.
        values = op.outputs[0] if op.type == "Conv2D" else op.inputs[2]
        kernel = op.outputs[0] if op.type == "Conv2DBackpropFilter" else op.inputs[1]
        return _size(op, values) * math.prod(_shape(op, kernel)[:-1])  # kernel: [height, width, in, out]
    if op.type in _PRODUCTS:
        transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
        summed = _shape(op, op.inputs[0])[-2 if transposed else -1]
        return _size(op, op.outputs[0]) * summed
    if op.type == "Einsum":
        labels = op.get_attr("equation").decode().split("->")[0].split(",")
        sizes: dict[str, int] = {}
        for names, tensor in zip(labels, op.inputs):
            sizes.update(zip(names, _shape(op, tensor)))
        return math.prod(sizes.values()) if len(labels) > 1 else 0
    return 0


def _shape(op: tf.Operation, tensor: tf.Tensor) -> list[int]:
    if not tensor.shape.is_fully_defined():
        raise ValueError(f"{op.name} ({op.type}): the shape {tensor.shape} is not known before the graph runs")
    return tensor.shape.as_list()


def _size(op: tf.Operation, tensor: tf.Tensor) -> int:
    return math.prod(_shape(op, tensor))
