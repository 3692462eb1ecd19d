"""The memory that a traced graph needs at its worst moment, found without running or allocating anything.

The operations are walked in the order in which a runtime with one queue would take them. A tensor takes its static
size from its operation to its last consumer; what passes an input on (a reshape, the read of a variable) shares that
input's memory. Called functions are walked in place of the call; loops and branches count with the worst moment inside,
on top of what is alive around them. The arguments of the whole graph and its variables belong to the caller and count
nothing.

The runtime rewrites the graph first, lets some kernels write over their input and others take scratch memory, and its
allocator leaves gaps: the result is an estimate, rather too low than too high.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

# What passes on the memory of its inputs: output i is input i.
_PASSES_ON = {
    *("Identity", "IdentityN", "StopGradient", "PreventGradient", "Reshape", "ExpandDims", "Squeeze", "EnsureShape"),
    *("Bitcast", "Snapshot", "ReadVariableOp", "CheckNumerics", "TensorListResize", "TensorListFromTensor"),
}
# The same for every output, with the position of the input.
_PARTS_OF = {"TensorListGetItem": 0, "TensorListPopBack": 0}
# Of these, parts along the first axis share the whole's memory.
_ROWS_OF = {"Split": 1, "SplitV": 0, "Unpack": 0, "StridedSlice": 0, "Slice": 0}
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
LOOPS = ("While", "StatelessWhile")
BRANCHES = ("If", "StatelessIf", "Case", "StatelessCase")
_NEW_LISTS = ("TensorListReserve", "EmptyTensorList")  # Their second input says how many elements there will be.
_FILLED_LISTS = {"TensorListSetItem": 2, "TensorListPushBack": 1}  # With the position of what is put in.
_WITHOUT_SIZE = (tf.resource, tf.variant, tf.string)


class Buffer:
    """A piece of memory, which several tensors may share."""

    def __init__(self, name: str, size: int, elements: int = 0):
        self.name = name
        self.size = size  # Bytes
        self.elements = elements  # Of a list: how many there will be; 0 if that is not known yet


class Step(NamedTuple):
    """One operation's use of memory."""

    name: str
    type: str
    reads: list[Buffer]
    writes: list[Buffer]  # What did not exist before
    inside: int  # Bytes at the worst moment within a loop or a branch, beside all else


class Peak(NamedTuple):
    """The worst moment."""

    bytes: int
    step: str  # Name of the operation
    live: list[tuple[str, int]]  # Name and bytes of every buffer, the largest first


def peak_of_function(function) -> Peak:
    """The worst moment of a concrete function."""
    return peak(*steps_of(function.graph))


def steps_of(graph: tf.Graph) -> tuple[list[Step], list[Buffer]]:
    """What every operation of a concrete function's graph reads and writes; what nothing asks for is left out.

    Returns:
      The steps, and the buffers of the outputs. Those of arguments and captured tensors have no size.
    """
    return _walk(graph, [Buffer(tensor.name, 0) for tensor in graph.inputs], prefix="")


def peak(steps: Sequence[Step], outputs: Sequence[Buffer] = (), within: range | None = None) -> Peak:
    """The worst moment of a sequence of steps.

    Args:
      steps: in their order.
      outputs: what stays to the end.
      within: where to look for it; None looks everywhere. What is alive depends on all steps in any case.
    """
    last = {buffer: index for index, step in enumerate(steps) for buffer in (*step.reads, *step.writes)}
    last.update(dict.fromkeys(outputs, len(steps)))
    live: set[Buffer] = set()
    now, worst, at = 0, Peak(0, "", []), set()
    for index, step in enumerate(steps):
        live.update(step.writes)
        now += sum(buffer.size for buffer in step.writes)
        if now + step.inside > worst.bytes and (within is None or index in within):
            worst, at = Peak(now + step.inside, step.name, []), set(live)
        for buffer in {*step.reads, *step.writes}:
            if last[buffer] == index and buffer in live:
                live.remove(buffer)
                now -= buffer.size
    largest = sorted(((buffer.name, buffer.size) for buffer in at if buffer.size), key=lambda item: -item[1])
    return worst._replace(live=largest)


def bytes_of(tensor: tf.Tensor | tf.TensorSpec) -> int:
    """What a tensor of static shape takes; handles, lists and strings count nothing."""
    dtype = tensor.dtype.base_dtype
    return 0 if dtype in _WITHOUT_SIZE else math.prod(tensor.shape) * dtype.size


def _walk(graph: tf.Graph, arguments: Sequence[Buffer], prefix: str) -> tuple[list[Step], list[Buffer]]:
    """As `steps_of`, given the buffers of the arguments."""
    buffers = {tensor.name: buffer for tensor, buffer in zip(graph.inputs, arguments)}
    steps: list[Step] = []
    for op in _in_order(graph):
        if op.type == "Placeholder":
            continue
        name = prefix + op.name
        reads = [buffers[tensor.name] for tensor in op.inputs]
        if op.type in CALLS:
            inner, outputs = _walk(function_of(graph, op.get_attr("f")), reads, f"{name}/")
            steps += inner
        else:
            outputs, inside = _outputs(graph, op, reads, name)
            steps.append(Step(name, op.type, reads, [each for each in outputs if each not in reads], inside))
        buffers.update({tensor.name: buffer for tensor, buffer in zip(op.outputs, outputs)})
    return steps, [buffers[tensor.name] for tensor in graph.outputs]


def _in_order(graph: tf.Graph) -> list[tf.Operation]:
    """What outputs and side effects depend on, each as soon as its inputs are there: the runtime drops the rest.

    The runtime takes what has waited longest, so it starts early on whatever waits for nothing: forward passes of a
    later part come before the earlier part's gradients.
    """
    needed = needed_ops(graph)
    waits_for = {op: set(_before(op)) for op in graph.get_operations() if op in needed}
    users = collections.defaultdict(list)
    for op, others in waits_for.items():
        for other in others:
            users[other].append(op)
    missing = {op: len(others) for op, others in waits_for.items()}
    ready = collections.deque(op for op in waits_for if not missing[op])
    order = []
    while ready:
        order.append(ready.popleft())
        for user in users[order[-1]]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    return order


def needed_ops(graph: tf.Graph) -> set[tf.Operation]:
    """Those that outputs and side effects depend on."""
    ops = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    found: set[tf.Operation] = set()
    while ops:
        op = ops.pop()
        if op not in found:
            found.add(op)
            ops += _before(op)
    return found


def _before(op: tf.Operation) -> list[tf.Operation]:
    return [*(tensor.op for tensor in op.inputs), *op.control_inputs]


def _outputs(graph: tf.Graph, op: tf.Operation, reads: list[Buffer], name: str) -> tuple[list[Buffer], int]:
    """The buffers of an operation's outputs, new or its inputs', and the bytes it needs inside."""
    if op.type in LOOPS:
        return _loop(graph, op, reads, name)
    if op.type in BRANCHES:
        return _branches(graph, op, reads, name)
    if op.type in _PASSES_ON:
        return reads[: len(op.outputs)], 0
    if op.type in _PARTS_OF:
        return [reads[_PARTS_OF[op.type]]] * len(op.outputs), 0
    if op.type in _ROWS_OF and _are_rows(op):
        return [reads[_ROWS_OF[op.type]]] * len(op.outputs), 0
    if op.type in _FILLED_LISTS:  # The list holds what is put in, at every turn of a loop.
        item = op.inputs[_FILLED_LISTS[op.type]]
        reads[0].size = max(reads[0].size, max(1, reads[0].elements) * _size(item, reads))
        return reads[:1], 0
    if op.type in _NEW_LISTS:
        elements = tf.get_static_value(op.inputs[1])
        return [Buffer(name, 0, 0 if elements is None else max(0, int(elements)))], 0
    return [Buffer(tensor.name if i else name, _size(tensor, reads)) for i, tensor in enumerate(op.outputs)], 0


def _loop(graph: tf.Graph, op: tf.Operation, reads: list[Buffer], name: str) -> tuple[list[Buffer], int]:
    body = function_of(graph, op.get_attr("body"))
    turns = turns_of(graph, op) or 1
    for tensor, buffer in zip(body.inputs, reads):
        if tensor.dtype == tf.variant:
            buffer.elements = buffer.elements or turns
    # What a turn is given, the one before (or the caller) holds already; lists are one and the same throughout.
    given = [
        buffer if tensor.dtype == tf.variant else Buffer(buffer.name, 0) for tensor, buffer in zip(body.inputs, reads)
    ]
    steps, turned = _walk(body, given, f"{name}/")
    outputs = [
        before if after in (own, before) else Buffer(f"{name}:{i}", _size(op.outputs[i], [after]))
        for i, (before, own, after) in enumerate(zip(reads, given, turned))
    ]
    return outputs, peak(steps, turned).bytes


def turns_of(graph: tf.Graph, op: tf.Operation) -> int | None:
    """How often a loop turns that counts up by ones to a number that the graph itself decides; None for others."""
    condition = function_of(graph, op.get_attr("cond"))
    given = {tensor.name: outer for tensor, outer in zip(condition.inputs, op.inputs)}
    found = []
    for compared in condition.get_operations():
        if compared.type == "Less":
            first, last = (tf.get_static_value(given.get(tensor.name, tensor)) for tensor in compared.inputs)
            found += [int(last) - int(first)] if first is not None and last is not None else []
    return max(1, min(found)) if found else None


def _branches(graph: tf.Graph, op: tf.Operation, reads: list[Buffer], name: str) -> tuple[list[Buffer], int]:
    functions = (
        op.get_attr("branches") if "Case" in op.type else [op.get_attr("then_branch"), op.get_attr("else_branch")]
    )
    outputs = [Buffer(f"{name}:{i}", _size(tensor, reads)) for i, tensor in enumerate(op.outputs)]
    worst = 0
    for function in functions:
        branch = function_of(graph, function)
        given = [Buffer(buffer.name, 0) for buffer in reads[1:]]
        worst = max(worst, peak(*_walk(branch, given, f"{name}/")).bytes)
    # The branch's outputs are the operation's, and are not to count twice.
    return outputs, max(0, worst - sum(buffer.size for buffer in outputs))


def _are_rows(op: tf.Operation) -> bool:
    """Whether parts are taken along the first axis alone."""
    if op.type == "Unpack":
        return op.get_attr("axis") == 0
    if op.type in ("Split", "SplitV"):
        return tf.get_static_value(op.inputs[0 if op.type == "Split" else 2]) == 0
    whole, part = op.inputs[0].shape, op.outputs[0].shape
    return bool(part.rank) and part.rank == whole.rank and part.is_fully_defined() and part[1:] == whole[1:]


def _size(tensor: tf.Tensor, reads: Sequence[Buffer]) -> int:
    """Bytes: by the static shape, or where that is not known as many as the largest input."""
    if tensor.shape.is_fully_defined() or tensor.dtype.base_dtype in _WITHOUT_SIZE:
        return bytes_of(tensor)
    return max((buffer.size for buffer in reads), default=0)


def function_of(graph: tf.Graph, attribute) -> tf.Graph:
    """The graph of a function that an operation's attribute names."""
    while True:
        function = graph._get_function(attribute.name)
        if function is not None:
            return function.graph
        graph = graph.outer_graph
