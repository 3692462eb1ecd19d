"""Traces as SVG and words as HTML, against the narrative itself."""

from __future__ import annotations

import xml.etree.ElementTree

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


def _lines(svg: str):
    """(element, [points, 2]) of each polyline."""
    root = xml.etree.ElementTree.fromstring(f"<svg>{svg}</svg>")
    return [(line, np.array([pair.split(",") for pair in line.get("points").split()], float)) for line in root]


def test_the_trace_goes_where_the_mouse_went():
    narrative = _narrative()
    lines = _lines(traces.overlay(narrative))
    strokes = np.split(narrative.points[:, :2] * traces.SIDE, [42, len(narrative.points) - 1])
    below = [places for line, places in lines if line.get("class") == "below"]
    for places, stroke in zip(below, strokes):
        assert np.abs(places[0] - stroke[0]).max() <= 0.5 and np.abs(places[-1] - stroke[-1]).max() <= 0.5
        distances = np.linalg.norm(stroke[:, None] - places[None], axis=-1)
        assert distances.min(axis=1).max() < 1.5 and distances.min(axis=0).max() <= 0.71
    assert len(below) == 3 and len(below[2]) == 2  # A single point is a line to itself: a dot.
    # The colored pieces cover the same way without a gap.
    above = [places for line, places in lines if line.get("class") is None]
    lengths = [sum(np.linalg.norm(np.diff(p, axis=0), axis=1).sum() for p in part) for part in (above, below)]
    assert lengths[0] == pytest.approx(lengths[1])


def test_pieces_belong_to_what_was_said_meanwhile():
    narrative = _narrative()
    places = np.rint(narrative.points[:, :2] * traces.SIDE)
    said = {0: set(), 1: set(), 2: set(), None: set()}
    for line, coordinates in _lines(traces.overlay(narrative)):
        if line.get("class") is None:
            number = line.get("data-u")
            said[None if number is None else int(number)].update(map(tuple, coordinates))
    for place, time in zip(places, narrative.points[:, 2]):
        [utterance] = [n for n, (start, end) in enumerate(narrative.times) if start <= time <= end] or [None]
        assert tuple(place) in said[utterance], time
    assert said[None]
    shares = {
        line.get("data-u"): float(line.get("style").partition(":")[2])
        for line, _ in _lines(traces.overlay(narrative))
        if line.get("data-u")
    }
    begin, end = -0.2, 9.5
    for number, (start, stop) in enumerate(narrative.times):
        assert shares[str(number)] == pytest.approx(((start + stop) / 2 - begin) / (end - begin), abs=0.001)
    assert traces.seconds(narrative) == pytest.approx(9.7)


def _spans(markup: str):
    return list(xml.etree.ElementTree.fromstring(f"<p>{markup}</p>"))


def test_words_are_marked_by_utterance_and_cut():
    spans = _spans(traces.words("In the picture <two> cats.", _narrative(), num_kept=3))
    assert [span.text for span in spans] == ["In", "the", "picture", "<two>", "cats."]
    assert [span.get("data-u") for span in spans] == ["0", "0", "1", None, "2"]
    assert [span.get("class") for span in spans] == ["spoken", "spoken", "spoken", "off", "off spoken"]
    times = [float(span.get("style").partition(":")[2]) for span in spans if span.get("style")]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= 1


def test_words_without_narrative_or_tokens():
    assert traces.words("a & b", None, None) == "<span>a</span> <span>&amp;</span> <span>b</span>"
    assert [span.get("class") for span in _spans(traces.words("a b", None, 1))] == [None, "off"]


def test_narratives_without_traces_or_times():
    narrative = _narrative()
    empty = narrative._replace(points=np.zeros((0, 3), np.float32), stroke_lengths=np.zeros(0, np.int32))
    assert traces.overlay(empty) == ""
    assert _spans(traces.words("in THE", empty, None))[1].get("data-u") == "0"
    untimed = narrative._replace(utterances=[], times=np.zeros((0, 2), np.float32))
    assert "data-u" not in traces.overlay(untimed) and "polyline" in traces.overlay(untimed)
    assert "data-u" not in traces.words("in the", untimed, None)
    neither = empty._replace(utterances=[], times=np.zeros((0, 2), np.float32))
    assert traces.overlay(neither) == "" and traces.seconds(neither) == 0
