"""Breaks down the time of a compiled function by kind of operation, with TensorFlow's profiler.

Operations are classified by their types and names only; the names contain the scopes of the layers.
"""

from __future__ import annotations

import glob
import heapq
import os
import re
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

_HEAVIEST = 12
_GRADIENT = re.compile(r"gradient|grad_|_grad\b", re.IGNORECASE)
# Operations in the discriminator's layers that belong to the normalization of kernels, if their types are those below.
_SPECTRAL = re.compile(
    r"discriminator.*/(conv_\d|shortcut|region_projection|sentence_projection|to_logit|contrastive_head_\d)(_\d+)?/"
    r"|spectral|power_iteration",
    re.IGNORECASE,
)
_SPECTRAL_TYPES = {
    "MatMul",
    "Mul",
    "RealDiv",
    "Reciprocal",
    "Sum",
    "Sqrt",
    "Square",
    "AddV2",
    "Reshape",
    "Neg",
    "L2Loss",
}
# Operations that only run an inner graph, whose own operations are in the trace.
_CALLS = {"While", "If", "Case", "PartitionedCall", "StatefulPartitionedCall", "StatelessWhile", "StatelessIf"}
# Kinds by type, without the prefixes of fused and oneDNN kernels; the first match counts.
_KINDS = (
    ("matrix product", r"MatMul|Einsum"),
    ("optimizer", r"ResourceApply"),
    ("reduction", r"Sum|Mean|Max|Min|Prod|Softmax|LogSumExp|L2Loss|BiasAddGrad|ArgMax|All|Any|FusedBatchNorm"),
    ("pooling", r"AvgPool|MaxPool"),
    ("random numbers", r"Random|StatelessTruncated"),
    (
        "copying",
        r"Transpose|Pad|Mirror|Concat|Split|Slice|Tile|Broadcast|Gather|Scatter|Pack|Unpack|Reshape|Cast|Identity|Copy"
        r"|ReadVariable|AssignVariable|Snapshot|SpaceTo|DepthTo|Resize|Reverse|Fill|ZerosLike|OnesLike|InvertPermutation"
        r"|TensorArray|TensorList|ToTf",
    ),
    ("variables", r"Assign|VarHandle"),
    (
        "elementwise",
        r"Add|Sub|Mul|Div|Relu|Tanh|Exp|Log|Sqrt|Square|Maximum|Minimum|Select|Neg|Pow|Reciprocal|Greater|Less|Equal"
        r"|Bias|Sigmoid|Sign|Abs|Cos|Sin|Inv|Floor|Round|Xlogy|IsFinite|_FusedBinary|Clip",
    ),
)


class Event(NamedTuple):
    """One run of one operation."""

    name: str
    type: str
    start: float  # Seconds
    end: float


class Share(NamedTuple):
    """The share of some operations in a run."""

    seconds: float
    calls: int


class Profile(NamedTuple):
    """The time of a run by operation. Concurrent operations share the time, so that the parts add up to `busy`."""

    wall: float  # Seconds from the first operation to the last
    busy: float  # Seconds with at least one operation running
    kinds: dict[str, Share]  # By kind, the largest first
    operations: dict[str, Share]  # By 'type name', the largest first


def profile(run: Callable[[], Any], folder: str) -> Profile:
    """Traces one run.

    Args:
      run: the function to trace, which returns tensors; it must have run before, so that nothing is compiled in it.
      folder: folder for the trace, which TensorBoard's profiler can show.

    Returns:
      The time by operation.
    """
    os.makedirs(folder, exist_ok=True)
    before = set(_traces(folder))
    # Without Python's calls, which would fill the trace's limit of a million events before the end of a large step.
    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
    tf.profiler.experimental.start(folder, options=options)
    try:
        for tensor in tf.nest.flatten(run()):
            tensor.numpy()
    finally:
        tf.profiler.experimental.stop()
    (trace,) = set(_traces(folder)) - before
    return break_down(read(trace))


def read(path: str) -> list[Event]:
    """Reads the operations in a trace of the profiler (`*.xplane.pb`), on GPUs or else on the host."""
    with open(path, "rb") as file:
        space = xplane_pb2.XSpace.FromString(file.read())
    planes = [plane for plane in space.planes if plane.name.startswith("/device:GPU")]
    planes = planes or [plane for plane in space.planes if plane.name == "/host:CPU"]
    events = []
    for plane in planes:
        for line in plane.lines:
            for event in line.events:
                # On the host, only operations have names such as 'name:Type'.
                match = re.fullmatch(r"([\w./>-]+):(\w+)", plane.event_metadata[event.metadata_id].name)
                if match:
                    start = 1e-9 * line.timestamp_ns + 1e-12 * event.offset_ps
                    events.append(Event(match[1], match[2], start, start + 1e-12 * event.duration_ps))
    return events


def break_down(events: Iterable[Event]) -> Profile:
    """Divides the time among the operations; concurrent operations get equal shares.

    Args:
      events: the events of all threads.

    Raises:
      ValueError: there are no events.
    """
    events = sorted((event for event in events if event.type not in _CALLS), key=lambda event: event.start)
    if not events:
        raise ValueError("the trace has no operations: profile a function that computes on this machine")
    seconds = _divide_time(events)
    kinds: dict[str, Share] = {}
    operations: dict[str, Share] = {}
    for event, own in zip(events, seconds):
        for shares, key in ((kinds, kind_of(event.name, event.type)), (operations, f"{event.type} {event.name}")):
            known = shares.get(key, Share(0.0, 0))
            shares[key] = Share(known.seconds + own, known.calls + 1)
    wall = max(event.end for event in events) - events[0].start
    return Profile(wall, sum(seconds), _heaviest_first(kinds), _heaviest_first(operations))


def kind_of(name: str, op_type: str) -> str:
    """Returns the kind of an operation, as the table prints it.

    Args:
      name: name of the operation, with its scopes.
      op_type: TensorFlow's type, such as 'Conv2D'.
    """
    plain = re.sub(r"^_?(Mkl)?(Native)?(Fused)?", "", op_type)
    backward = bool(_GRADIENT.search(name))
    if plain.startswith(("Conv2D", "DepthwiseConv2d", "Conv3D")):
        if plain.endswith(("BackpropFilter", "BackpropFilterV2")):
            return "convolution, gradient of kernel"
        # A transposed convolution has the type of a gradient in the forward pass, and of a convolution in the backward.
        return "convolution, gradient of input" if backward else "convolution, forward"
    if re.search(r"Adam\w*/", name):
        return "optimizer"
    if plain in _SPECTRAL_TYPES and _SPECTRAL.search(name):
        return "spectral normalization"
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, plain)), "other")
    return f"{kind}, gradient" if backward and kind in ("matrix product", "elementwise", "reduction") else kind


def table(measured: Profile) -> str:
    """Formats the kinds and the most expensive operations."""
    lines = [
        "",
        f"time of one run: {measured.wall:.3f} s, busy for {measured.busy / measured.wall:.1%} of it "
        "(concurrent operations share the time)",
        f"{'kind':<34}{'ms':>10}{'share':>9}{'calls':>9}",
    ]
    lines += [_row(f"{kind:<34}", share, measured.busy) for kind, share in measured.kinds.items()]
    lines += ["", f"the {_HEAVIEST} most expensive of {len(measured.operations):,} operations"]
    heaviest = list(measured.operations.items())[:_HEAVIEST]
    lines += [f"{_row('', share, measured.busy)}  {name}" for name, share in heaviest]
    return "\n".join(lines)


def _row(head: str, share: Share, whole: float) -> str:
    return f"{head}{1e3 * share.seconds:>10.1f}{share.seconds / whole:>9.1%}{share.calls:>9,}"


def _traces(folder: str) -> list[str]:
    return glob.glob(os.path.join(glob.escape(folder), "plugins", "profile", "*", "*.xplane.pb"))


def _divide_time(events: list[Event]) -> list[float]:
    """Returns the seconds of each event, where concurrent events share the time; events are ordered by their starts."""
    # An event's seconds are the growth of the integral of 1 / (number of running events) from its start to its end.
    integral, now = 0.0, events[0].start
    at_start = [0.0] * len(events)
    seconds = [0.0] * len(events)
    running: list[tuple[float, int]] = []  # A heap of (end, index of the event)

    def advance(until: float) -> None:
        nonlocal integral, now
        while running and running[0][0] <= until:
            end, index = heapq.heappop(running)
            integral += (end - now) / (len(running) + 1)
            now = end
            seconds[index] = integral - at_start[index]
        if running:
            integral += (until - now) / len(running)
        now = until

    for index, event in enumerate(events):
        advance(event.start)
        at_start[index] = integral
        heapq.heappush(running, (event.end, index))
    advance(max(event.end for event in events))
    return seconds


def _heaviest_first(shares: dict[str, Share]) -> dict[str, Share]:
    return dict(sorted(shares.items(), key=lambda item: -item[1].seconds))
