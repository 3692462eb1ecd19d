"""Narratives to look at: the trace over its image and the words, both with the time at which they were said.

A line of the trace and a word carry the share of the narrative's time that has passed, from which the sheet makes
their color, and the number of the utterance, by which its script finds what belongs together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.records import Narrative

# The drawing's width and height, whatever the image's: it is stretched over it.
SIDE = 1000
# Seconds of a piece of the trace while nothing is said.
_SILENT_PIECE = 0.5


class Line(NamedTuple):
    """A piece of a trace as SVG draws it."""

    points: str  # 'x,y x,y ...' in a square of SIDE.
    utterance: int | None  # Which was said meanwhile; None in a silence.
    passed: float  # The share of the narrative's time, 0 .. 1.


class Trace(NamedTuple):
    """A trace: each stroke whole, and all strokes cut where another utterance begins."""

    strokes: list[str]  # Points as those of a `Line`.
    lines: list[Line]


class Word(NamedTuple):
    """A word of a caption."""

    text: str
    is_cut: bool  # Beyond what the models see.
    utterance: int | None  # None where it is not known when it was said.
    passed: float | None


def trace(narrative: Narrative) -> Trace:
    """Makes a drawing of a trace.

    Args:
      narrative: whose points are drawn.
    """
    begin, end = _span(narrative)
    found = Trace([], [])
    strokes = np.split(narrative.points, np.cumsum(narrative.stroke_lengths)[:-1]) if len(narrative.points) else []
    for points in strokes:
        found.strokes.append(_coordinates(points))
        for utterance, piece in _pieces(points, narrative.times):
            time = narrative.times[utterance].mean() if utterance is not None else piece[:, 2].mean()
            found.lines.append(Line(_coordinates(piece), utterance, _passed(time, begin, end)))
    return found


def words(caption: str, narrative: Narrative | None, num_kept: int | None) -> list[Word]:
    """The words of a caption, with the time at which they were said.

    Args:
      caption: as in the record.
      narrative: how it was spoken; None if it was not. Its words may differ from the caption's here and there.
      num_kept: words before the cut; None if it is not known.
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
        passed = None
        if narrative and utterance is not None:
            passed = _passed(narrative.times[utterance].mean(), begin, end)
        found.append(Word(word, is_cut, utterance, passed))
    return found


def seconds(narrative: Narrative) -> float:
    """From the first word or point to the last one."""
    begin, end = _span(narrative)
    return end - begin


def _pieces(points: np.ndarray, times: np.ndarray) -> Iterator[tuple[int | None, np.ndarray]]:
    """Cuts a stroke where another utterance begins: (number of the utterance, [points, 3]), ends shared."""
    at = points[:, 2]
    if len(times):
        latest = np.searchsorted(times[:, 0], at, side="right") - 1  # [points]; -1 before the first one.
        spoken = (latest >= 0) & (at <= times[latest, 1])
    else:
        latest, spoken = np.full(len(at), -1), np.zeros(len(at), bool)
    # Below 0 while nothing is said: another number for each little while.
    key = np.where(spoken, latest, -1 - np.floor(np.maximum(at, 0) / _SILENT_PIECE).astype(np.int64))
    starts = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    for start, stop in zip(starts, [*starts[1:], len(points)]):
        yield (int(key[start]) if spoken[start] else None), points[start : stop + 1]


def _coordinates(points: np.ndarray) -> str:
    """'x,y x,y ...', repeated places left out; twice the same one for a single point, which shows as a dot."""
    places = np.rint(points[:, :2] * SIDE).astype(int)  # [points, 2]
    moved = np.any(np.diff(places, axis=0, prepend=places[:1] - 1) != 0, axis=1)
    places = places[moved]
    if len(places) == 1:
        places = np.repeat(places, 2, axis=0)
    return " ".join(f"{x},{y}" for x, y in places)


def _utterances_of(own: Sequence[str], utterances: Sequence[str]) -> list[int | None]:
    """The utterance of each word, where the words that were timed are those of the caption."""
    timed = [(word.lower(), number) for number, utterance in enumerate(utterances) for word in utterance.split()]
    found: list[int | None] = [None] * len(own)
    matcher = difflib.SequenceMatcher(None, [word.lower() for word in own], [word for word, _ in timed], autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            found[block.a + offset] = timed[block.b + offset][1]
    return found


def _span(narrative: Narrative) -> tuple[float, float]:
    """When the narrative begins and ends, in seconds."""
    times = np.concatenate([narrative.times.ravel(), narrative.points[:, 2]])
    return (float(times.min()), float(times.max())) if len(times) else (0.0, 0.0)


def _passed(time: float, begin: float, end: float) -> float:
    return float((time - begin) / max(end - begin, 1e-6))
