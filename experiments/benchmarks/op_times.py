"""Where the time of a compiled function goes, by kind of operation, from TensorFlow's profiler.

The operations are known by their types and names alone; the names are those that the layers' scopes give.
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
# Of the discriminator's layers, what is neither their convolution nor what follows it normalizes their kernels.
_SPECTRAL = re.compile(
    r"discriminator.*/(conv_\d|shortcut|region_projection|sentence_projection|to_logit|contrastive_head_\d)(_\d+)?/"
    r"|spectral|power_iteration",
    re.IGNORECASE,
)
_OF_SPECTRAL = {"MatMul", "Mul", "RealDiv", "Reciprocal", "Sum", "Sqrt", "Square", "AddV2", "Reshape", "Neg", "L2Loss"}
# Operations that do nothing but run a graph inside, whose operations are in the trace themselves.
_CALLS = {"While", "If", "Case", "PartitionedCall", "StatefulPartitionedCall", "StatelessWhile", "StatelessIf"}
# By type, without the marks of fused and of oneDNN's kernels; the first that matches.
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
    """What some operations take of a run."""

    seconds: float
    calls: int


class Profile(NamedTuple):
    """A run, taken apart. What ran at the same time shares the time, so that the parts add up to `busy`."""

    wall: float  # Seconds from the first operation to the last
    busy: float  # Seconds with at least one operation under way
    kinds: dict[str, Share]  # The heaviest first
    operations: dict[str, Share]  # By 'type name', the heaviest first


def profile(run: Callable[[], Any], folder: str) -> Profile:
    """Traces one run.

    Args:
      run: has run before, so that nothing is compiled in it; what it returns is waited for.
      folder: for the trace, which TensorBoard's profiler can show.

    Returns:
      Where the time went.
    """
    os.makedirs(folder, exist_ok=True)
    before = set(_traces(folder))
    # Python's own calls would fill the trace's million events before a large step's last operation.
    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
    tf.profiler.experimental.start(folder, options=options)
    try:
        for tensor in tf.nest.flatten(run()):
            tensor.numpy()
    finally:
        tf.profiler.experimental.stop()
    (trace,) = set(_traces(folder)) - before
    return take_apart(read(trace))


def read(path: str) -> list[Event]:
    """The operations in a trace of the profiler (`*.xplane.pb`), on the host or on GPUs."""
    with open(path, "rb") as file:
        space = xplane_pb2.XSpace.FromString(file.read())
    planes = [plane for plane in space.planes if plane.name.startswith("/device:GPU")]
    planes = planes or [plane for plane in space.planes if plane.name == "/host:CPU"]
    events = []
    for plane in planes:
        for line in plane.lines:
            for event in line.events:
                # Of the names on the host, operations alone are written 'name:Type'.
                match = re.fullmatch(r"([\w./>-]+):(\w+)", plane.event_metadata[event.metadata_id].name)
                if match:
                    start = 1e-9 * line.timestamp_ns + 1e-12 * event.offset_ps
                    events.append(Event(match[1], match[2], start, start + 1e-12 * event.duration_ps))
    return events


def take_apart(events: Iterable[Event]) -> Profile:
    """Shares the time out among the operations; those that ran at the same time get equal parts of it.

    Args:
      events: on all threads.

    Raises:
      ValueError: there are none.
    """
    events = sorted((event for event in events if event.type not in _CALLS), key=lambda event: event.start)
    if not events:
        raise ValueError("the trace has no operations: profile a function that computes on this machine")
    seconds = _shared_out(events)
    kinds: dict[str, Share] = {}
    operations: dict[str, Share] = {}
    for event, own in zip(events, seconds):
        for shares, key in ((kinds, kind_of(event.name, event.type)), (operations, f"{event.type} {event.name}")):
            known = shares.get(key, Share(0.0, 0))
            shares[key] = Share(known.seconds + own, known.calls + 1)
    wall = max(event.end for event in events) - events[0].start
    return Profile(wall, sum(seconds), _heaviest_first(kinds), _heaviest_first(operations))


def kind_of(name: str, op_type: str) -> str:
    """What an operation is, in the words of the table.

    Args:
      name: with its scopes.
      op_type: TensorFlow's, as 'Conv2D'.
    """
    plain = re.sub(r"^_?(Mkl)?(Native)?(Fused)?", "", op_type)
    backward = bool(_GRADIENT.search(name))
    if plain.startswith(("Conv2D", "DepthwiseConv2d", "Conv3D")):
        if plain.endswith(("BackpropFilter", "BackpropFilterV2")):
            return "convolution, gradient of kernel"
        # The transposed convolution goes forward by what is otherwise a gradient, and back by a convolution.
        return "convolution, gradient of input" if backward else "convolution, forward"
    if re.search(r"Adam\w*/", name):
        return "optimizer"
    if plain in _OF_SPECTRAL and _SPECTRAL.search(name):
        return "spectral normalisation"
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, plain)), "other")
    return f"{kind}, gradient" if backward and kind in ("matrix product", "elementwise", "reduction") else kind


def table(measured: Profile) -> str:
    """The kinds and the heaviest operations, for people."""
    lines = [
        "",
        f"where the time of one run goes: {measured.wall:.3f} s, at work in {measured.busy / measured.wall:.1%} of it "
        "(operations at the same time share it)",
        f"{'kind':<34}{'ms':>10}{'share':>9}{'calls':>9}",
    ]
    lines += [_row(f"{kind:<34}", share, measured.busy) for kind, share in measured.kinds.items()]
    lines += ["", f"the heaviest {_HEAVIEST} of {len(measured.operations):,} operations"]
    heaviest = list(measured.operations.items())[:_HEAVIEST]
    lines += [f"{_row('', share, measured.busy)}  {name}" for name, share in heaviest]
    return "\n".join(lines)


def _row(head: str, share: Share, whole: float) -> str:
    return f"{head}{1e3 * share.seconds:>10.1f}{share.seconds / whole:>9.1%}{share.calls:>9,}"


def _traces(folder: str) -> list[str]:
    return glob.glob(os.path.join(glob.escape(folder), "plugins", "profile", "*", "*.xplane.pb"))


def _shared_out(events: list[Event]) -> list[float]:
    """Seconds of each event, in the order of their starts, divided among those under way."""
    # Of the integral of 1 / (number under way), every event has what it grows by from its start to its end.
    integral, now = 0.0, events[0].start
    at_start = [0.0] * len(events)
    seconds = [0.0] * len(events)
    running: list[tuple[float, int]] = []  # Ends, as a heap

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
