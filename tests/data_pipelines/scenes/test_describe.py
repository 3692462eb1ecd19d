"""Captions are short, varied and true: every color, kind, place and relation is checked against the scene."""

from __future__ import annotations

import re

import numpy as np
import pytest

from data_pipelines.scenes import describe, sample, spec

KINDS = {"sphere": "ball", "cube": "box", **{kind: kind for kind in spec.KINDS}}
SIZES = {"small": "small", "little": "small", "tiny": "small", "large": "large", "big": "large", "huge": "large"}
THING = rf"\b(?:({'|'.join(SIZES)}) )?(?:({'|'.join(spec.COLORS)}) )?({'|'.join(KINDS)})\b"


@pytest.fixture(scope="module")
def told():
    scenes = [sample.sample_scene(1, split, index) for split in sample.SPLITS for index in range(400)]
    return [(scene, describe.describe(scene)) for scene in scenes]


def _things(scene, caption):
    """(match, object) for every object that the caption names."""
    by_kind = {thing.kind: thing for thing in scene.objects}
    return [(match, by_kind.get(KINDS[match[3]])) for match in re.finditer(THING, caption.lower())]


def test_five_different_captions_of_at_most_fifteen_tokens(told):
    for _, captions in told:
        assert len(set(captions)) == describe.NUM_CAPTIONS
        assert max(len(re.findall(r"\w+|[^\w\s]", caption)) for caption in captions) <= 15
    words = [re.findall(r"\w+", caption.lower()) for _, captions in told for caption in captions]
    assert 9.5 < np.mean([len(caption) for caption in words]) < 11.7
    assert 90 <= len({word for caption in words for word in caption}) <= 150
    assert {caption[0].isupper() for _, captions in told for caption in captions} == {True, False}
    assert {caption.endswith(".") for _, captions in told for caption in captions} == {True, False}


def test_what_is_named_is_there_in_that_color_and_size(told):
    for scene, captions in told:
        for caption in captions:
            assert _things(scene, caption)
            for match, thing in _things(scene, caption):
                assert thing is not None, caption
                assert match[1] is None or SIZES[match[1]] == thing.size, caption
                assert match[2] is None or match[2] == thing.color, caption


def test_one_or_two_objects_are_named_with_their_colors_in_four_of_five(told):
    for scene, captions in told:
        if len(scene.objects) < 3:
            full = [len([1 for match, _ in _things(scene, caption) if match[2]]) for caption in captions]
            assert sum(count == len(scene.objects) for count in full) >= 4


def test_relations_are_true(told):
    checks = {
        r"(?:to the )?left of": lambda one, other: one.x < other.x - 0.15,
        r"(?:to the )?right of": lambda one, other: one.x > other.x + 0.15,
        r"above|over": lambda one, other: one.y < other.y - 0.15 and abs(one.x - other.x) < 0.15,
        r"below|under": lambda one, other: one.y > other.y + 0.15 and abs(one.x - other.x) < 0.15,
        r"next to|beside": lambda one, other: abs(one.y - other.y) < 0.15,
    }
    seen = 0
    for scene, captions in told:
        for caption in captions:
            for relation, holds in checks.items():
                for match in re.finditer(rf"{THING}(?: is)? (?:{relation}) a {THING}", caption.lower()):
                    one, other = (thing for _, thing in _things(scene, match[0]))
                    assert holds(one, other), (caption, scene)
                    seen += 1
    assert seen > 200


def test_positions_are_true(told):
    pattern = rf"{THING}(?: is)?(?: \w+ing)? (?:at|on|in) the (top|bottom|upper|lower) ?(left|right|center)?"
    rows = {"upper": "top", "lower": "bottom"}
    seen = 0
    for scene, captions in told:
        for caption in captions:
            for match in re.finditer(pattern, caption.lower()):
                _, thing = _things(scene, match[0])[0]
                assert thing.row == rows.get(match[4], match[4]), caption
                assert match[5] is None or thing.column == match[5].replace("center", "middle"), caption
                seen += 1
    assert seen > 200


def test_most_captions_tell_the_background(told):
    clue = {
        "meadow": "meadow|grass|lawn",
        "beach": "beach|sea",
        "desert": "desert|dunes",
        "snow": "snow|winter",
        "night": "night|stars",
        "bricks": "brick",
        "wood": "wood",
        "city": "city|building",
    }
    found = []
    for scene, captions in told:
        for caption in captions:
            named = {name for name, words in clue.items() if re.search(words, caption.lower())}
            assert named <= {scene.background}, caption
            found.append(bool(named))
    assert np.mean(found) > 0.75
