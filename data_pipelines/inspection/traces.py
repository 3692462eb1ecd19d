"""Prepares narratives for display: the trace over the image, and the words, both with their times.

Each line of a trace, and each word, comes with two numbers. The elapsed share of the narrative's time
determines the color of the line or word on the page. The number of the utterance tells the page's script which lines
and words belong together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.records import Narrative

# Width and height of the drawing, which is stretched over an image of any size.
SIDE = 1000
# While nothing is said, the trace is cut into pieces of this many seconds.
_SILENT_PIECE = 0.5


class Line(NamedTuple):
    """A piece of a trace, as an SVG polyline."""

    points: str  # 'x,y x,y ...' in a square of SIDE.
    utterance: int | None  # Number of the utterance spoken at that time; None in a pause.
    elapsed: float  # Elapsed share of the narrative's time, 0 .. 1.


class Trace(NamedTuple):
    """A trace, as whole strokes and as pieces that are cut where an utterance or a pause begins."""

    strokes: list[str]  # In the format of `Line.points`.
    lines: list[Line]


class Word(NamedTuple):
    """A word of a caption."""

    text: str
    is_cut: bool  # Whether it is beyond the text length, so that the models do not see it.
    utterance: int | None  # Number of its utterance; None if unknown.
    elapsed: float | None  # As in `Line`; None if unknown.


def trace(narrative: Narrative) -> Trace:
    """Converts the points of a narrative to SVG polylines."""
    begin, end = _span(narrative)
    found = Trace([], [])
    strokes = np.split(narrative.points, np.cumsum(narrative.stroke_lengths)[:-1]) if len(narrative.points) else []
    for points in strokes:
        found.strokes.append(_coordinates(points))
        for utterance, piece in _pieces(points, narrative.times):
            time = narrative.times[utterance].mean() if utterance is not None else piece[:, 2].mean()
            found.lines.append(Line(_coordinates(piece), utterance, _elapsed_share(time, begin, end)))
    return found


def words(caption: str, narrative: Narrative | None, num_kept: int | None) -> list[Word]:
    """Splits a caption into words and finds the time at which each was spoken.

    Args:
      caption: a caption of a record.
      narrative: the caption's narrative, whose words may differ from the caption; None if the caption was not spoken.
      num_kept: number of words within the text length; None if unknown.
    """
    own = caption.split()
    utterances: Sequence[int | None] = [None] * len(own)
    begin = end = 0.0
    if narrative:
        utterances = _utterances_of(own, narrative.utterances)
        begin, end = _span(narrative)
    found = []
    for place, (word, utterance) in enumerate(zip(own, utterances)):
        is_cut = num_kept is not None and place >= num_kept
        elapsed = None
        if narrative and utterance is not None:
            elapsed = _elapsed_share(narrative.times[utterance].mean(), begin, end)
        found.append(Word(word, is_cut, utterance, elapsed))
    return found


def seconds(narrative: Narrative) -> float:
    """Returns the duration from the first word or point to the last one."""
    begin, end = _span(narrative)
    return end - begin


def _pieces(points: np.ndarray, times: np.ndarray) -> Iterator[tuple[int | None, np.ndarray]]:
    """Yields the pieces of a stroke, as (utterance, [points, 3]); in a pause the utterance is None.

    The stroke is cut where an utterance or a pause begins, and every _SILENT_PIECE seconds during a pause. Successive
    pieces share an end point.
    """
    at = points[:, 2]
    if len(times):
        latest = np.searchsorted(times[:, 0], at, side="right") - 1  # [points] latest utterance begun, or -1.
        spoken = (latest >= 0) & (at <= times[latest, 1])
    else:
        latest, spoken = np.full(len(at), -1), np.zeros(len(at), bool)
    # During pauses the key is negative, and differs between pieces of _SILENT_PIECE seconds.
    key = np.where(spoken, latest, -1 - np.floor(np.maximum(at, 0) / _SILENT_PIECE).astype(np.int64))
    starts = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    for start, stop in zip(starts, [*starts[1:], len(points)]):
        yield (int(key[start]) if spoken[start] else None), points[start : stop + 1]


def _coordinates(points: np.ndarray) -> str:
    """Formats points as 'x,y x,y ...' without repeated positions; a single point is doubled to show as a dot."""
    places = np.rint(points[:, :2] * SIDE).astype(int)  # [points, 2]
    moved = np.any(np.diff(places, axis=0, prepend=places[:1] - 1) != 0, axis=1)
    places = places[moved]
    if len(places) == 1:
        places = np.repeat(places, 2, axis=0)
    return " ".join(f"{x},{y}" for x, y in places)


def _utterances_of(own: Sequence[str], utterances: Sequence[str]) -> list[int | None]:
    """Returns the utterance of each word of a caption, or None where the narrative has other words."""
    timed = [(word.lower(), number) for number, utterance in enumerate(utterances) for word in utterance.split()]
    found: list[int | None] = [None] * len(own)
    matcher = difflib.SequenceMatcher(None, [word.lower() for word in own], [word for word, _ in timed], autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            found[block.a + offset] = timed[block.b + offset][1]
    return found


def _span(narrative: Narrative) -> tuple[float, float]:
    """Returns when the narrative begins and ends, in seconds."""
    times = np.concatenate([narrative.times.ravel(), narrative.points[:, 2]])
    return (float(times.min()), float(times.max())) if len(times) else (0.0, 0.0)


def _elapsed_share(time: float, begin: float, end: float) -> float:
    return float((time - begin) / max(end - begin, 1e-6))
