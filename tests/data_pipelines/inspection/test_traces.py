"""Traces and words as the sheet draws them, against the narrative itself."""

from __future__ import annotations

import numpy as np
import pytest

from data_pipelines.inspection import traces
from data_pipelines.records import Narrative


def _narrative() -> Narrative:
    """Three utterances with a silence before the last; two strokes and a single point."""
    at = np.concatenate([np.arange(-0.2, 4.0, 0.1), np.arange(5.0, 9.0, 0.1), [9.5]])
    angle = at * 2
    points = np.stack([0.5 + 0.4 * np.cos(angle), 0.5 + 0.2 * np.sin(angle), at], axis=1).astype(np.float32)
    times = np.array([[0, 1.05], [1.05, 3.05], [6.05, 9.05]], np.float32)
    return Narrative(["In the", "picture", "cats."], times, points, np.array([42, len(at) - 43, 1], np.int32))


def _places(points: str) -> np.ndarray:
    """[points, 2]."""
    return np.array([pair.split(",") for pair in points.split()], float)


def test_the_trace_goes_where_the_mouse_went():
    narrative = _narrative()
    trace = traces.trace(narrative)
    strokes = np.split(narrative.points[:, :2] * traces.SIDE, [42, len(narrative.points) - 1])
    below = [_places(points) for points in trace.strokes]
    for places, stroke in zip(below, strokes):
        assert np.abs(places[0] - stroke[0]).max() <= 0.5 and np.abs(places[-1] - stroke[-1]).max() <= 0.5
        distances = np.linalg.norm(stroke[:, None] - places[None], axis=-1)
        assert distances.min(axis=1).max() < 1.5 and distances.min(axis=0).max() <= 0.71
    assert len(below) == 3 and len(below[2]) == 2  # A single point is a line to itself: a dot.
    # The colored pieces cover the same way without a gap.
    above = [_places(line.points) for line in trace.lines]
    lengths = [sum(np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in part) for part in (above, below)]
    assert lengths[0] == pytest.approx(lengths[1])


def test_pieces_belong_to_what_was_said_meanwhile():
    narrative = _narrative()
    lines = traces.trace(narrative).lines
    places = np.rint(narrative.points[:, :2] * traces.SIDE)
    said = {0: set(), 1: set(), 2: set(), None: set()}
    for line in lines:
        said[line.utterance].update(map(tuple, _places(line.points)))
    for place, time in zip(places, narrative.points[:, 2]):
        [utterance] = [n for n, (start, end) in enumerate(narrative.times) if start <= time <= end] or [None]
        assert tuple(place) in said[utterance], time
    assert said[None]
    shares = {line.utterance: line.elapsed for line in lines if line.utterance is not None}
    begin, end = -0.2, 9.5
    for number, (start, stop) in enumerate(narrative.times):
        assert shares[number] == pytest.approx(((start + stop) / 2 - begin) / (end - begin), abs=0.001)
    assert traces.seconds(narrative) == pytest.approx(9.7)


def test_words_are_marked_by_utterance_and_cut():
    words = traces.words("In the picture <two> cats.", _narrative(), num_kept=3)
    assert [word.text for word in words] == ["In", "the", "picture", "<two>", "cats."]
    assert [word.utterance for word in words] == [0, 0, 1, None, 2]
    assert [word.is_cut for word in words] == [False, False, False, True, True]
    times = [word.elapsed for word in words if word.elapsed is not None]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= 1 and len(times) == 4


def test_words_without_narrative_or_tokens():
    assert traces.words("a & b", None, None) == [traces.Word(text, False, None, None) for text in ("a", "&", "b")]
    assert [word.is_cut for word in traces.words("a b", None, 1)] == [False, True]


def test_narratives_without_traces_or_times():
    narrative = _narrative()
    empty = narrative._replace(points=np.zeros((0, 3), np.float32), stroke_lengths=np.zeros(0, np.int32))
    assert traces.trace(empty) == traces.Trace([], [])
    assert traces.words("in THE", empty, None)[1].utterance == 0
    untimed = narrative._replace(utterances=[], times=np.zeros((0, 2), np.float32))
    lines = traces.trace(untimed).lines
    assert lines and all(line.utterance is None for line in lines)
    assert all(word.utterance is None for word in traces.words("in the", untimed, None))
    neither = empty._replace(utterances=[], times=np.zeros((0, 2), np.float32))
    assert traces.trace(neither) == traces.Trace([], []) and traces.seconds(neither) == 0
