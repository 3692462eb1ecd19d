"""Narratives are long, spoken, true and pointed at; here they are taken apart without the code that made them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from data_pipelines.scenes import draw, mouse, narrate, sample, spec, speech

KINDS = {"sphere": "ball", "cube": "box", **{kind: kind for kind in spec.KINDS}}
SIZES = {"small": "small", "little": "small", "tiny": "small", "large": "large", "big": "large", "huge": "large"}
COLOUR = rf"(?:{'|'.join(spec.COLORS)})"
THING = rf"(?:a|the) (?:(?:{'|'.join(SIZES)}) )?(?:{COLOUR} (?:color )?)?(?:{'|'.join(KINDS)})\b"
STUMBLES = {
    "filler": r"\b(?:uh|um) ",
    "correction": rf"\b(?:a|the) {COLOUR} no ",
    "false start": r"\b(\w+ \w+) (?=\1\b)",
    "repetition": r"\b(\w+) (?=\1\b)",
}


@pytest.fixture(scope="module")
def spoken():
    scenes = [sample.sample_scene(1, split, index) for split in sample.SPLITS for index in range(250)]
    return [(scene, narrate.narrate(scene, number % 20)) for number, scene in enumerate(scenes)]


def _fluent(caption):
    """The caption in lower case, without what the speaker stumbled over."""
    caption = caption.lower()
    for pattern in STUMBLES.values():
        caption = re.sub(pattern, "", caption)
    return caption


def _words(narrative):
    """(word without its punctuation mark, start, end) of every word; two of one utterance share their times."""
    for utterance in narrative.timed_caption:
        for word in utterance["utterance"].split():
            yield word.rstrip(",.").lower(), utterance["start_time"], utterance["end_time"]


def _points(narrative):
    """All points of all strokes: x, y, t; [points, 3]."""
    return np.array([[point["x"], point["y"], point["t"]] for stroke in narrative.traces for point in stroke])


def _thing(scene, phrase):
    """The object that a phrase names, whose every word has to be true of it."""
    *others, noun = re.findall(r"\w+", phrase.lower())
    (thing,) = (thing for thing in scene.objects if thing.kind == KINDS[noun])
    for word in others:
        assert SIZES.get(word, thing.size) == thing.size, phrase
        assert word not in spec.COLORS or word == thing.color, phrase
    return thing


def test_as_long_as_real_narratives(spoken):
    tokens = [len(re.findall(r"\w+|[^\w\s]", narrative.caption)) for _, narrative in spoken]
    assert min(tokens) >= 30 and max(tokens) <= 60
    assert 40 < np.mean(tokens) < 46
    assert 70 < len({word for _, narrative in spoken for word, _, _ in _words(narrative)}) < 140


def test_a_narrative_depends_on_scene_and_annotator_only():
    scenes = [sample.sample_scene(3, "train", index) for index in range(10)]
    first = [narrate.narrate(scene, 4) for scene in scenes]
    assert first == [narrate.narrate(scene, 4) for scene in reversed(scenes)][::-1]
    for scene, narrative in zip(scenes, first):
        other = narrate.narrate(scene, 5)
        assert other.caption != narrative.caption and other.traces != narrative.traces


def test_words_joined_are_the_caption_and_their_times_rise(spoken):
    for _, narrative in spoken:
        assert " ".join(utterance["utterance"] for utterance in narrative.timed_caption) == narrative.caption
        assert all(set(utterance) == {"utterance", "start_time", "end_time"} for utterance in narrative.timed_caption)
        times = [[utterance["start_time"], utterance["end_time"]] for utterance in narrative.timed_caption]
        assert times[0][0] >= 0
        assert all(start < end == round(end, 1) for start, end in times)
        assert all(end <= start for (_, end), (start, _) in zip(times, times[1:]))
    lengths = [len(utterance["utterance"].split()) for _, narrative in spoken for utterance in narrative.timed_caption]
    assert set(lengths) == {1, 2} and 0.02 < np.mean(np.equal(lengths, 2)) < 0.1
    pace = [len(narrative.caption.split()) / narrative.timed_caption[-1]["end_time"] for _, narrative in spoken]
    assert 1.3 < min(pace) < max(pace) < 3.2  # Words a second.


def test_as_many_speakers_stumble_as_documented(spoken):
    captions = [narrative.caption.lower() for _, narrative in spoken]
    stumbled = [any(re.search(pattern, caption) for pattern in STUMBLES.values()) for caption in captions]
    assert np.mean(stumbled) == pytest.approx(speech.SHARE_OF_NARRATIVES, abs=0.07)
    for pattern in STUMBLES.values():
        assert sum(bool(re.search(pattern, caption)) for caption in captions) > 5, pattern


def test_every_object_is_named_and_what_is_named_is_true(spoken):
    for scene, narrative in spoken:
        named = [_thing(scene, phrase) for phrase in re.findall(THING, _fluent(narrative.caption))]
        assert set(named) == set(scene.objects), narrative.caption
        for phrase, told in re.findall(rf"({THING}) is (.*?)\.", _fluent(narrative.caption)):
            thing = _thing(scene, phrase)
            for word in told.split():
                assert SIZES.get(word, thing.size) == thing.size, narrative.caption
                assert word not in spec.COLORS or word == thing.color, narrative.caption


def test_positions_are_true(spoken):
    place = r"(?:top|bottom|upper|lower|left|right|middle|center)"
    rows = {"top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom"}
    columns = {"left": "left", "right": "right", "middle": "middle", "center": "middle"}
    seen = 0
    for scene, narrative in spoken:
        pattern = rf"({THING}) ((?:in|at|on) the {place}\b[^.]*)"
        for phrase, told in re.findall(pattern, _fluent(narrative.caption)):
            thing, words = _thing(scene, phrase), told.split()
            assert {rows[word] for word in words if word in rows} <= {thing.row}, narrative.caption
            assert {columns[word] for word in words if word in columns} <= {thing.column}, narrative.caption
            seen += 1
    assert seen > 500


def test_relations_are_true(spoken):
    checks = {
        "to the left of": lambda one, other: one.x < other.x - 0.15,
        "to the right of": lambda one, other: one.x > other.x + 0.15,
        "above|over": lambda one, other: one.y < other.y - 0.15 and abs(one.x - other.x) < 0.15,
        "below|under": lambda one, other: one.y > other.y + 0.15 and abs(one.x - other.x) < 0.15,
        "next to|beside": lambda one, other: abs(one.y - other.y) < 0.15,
    }
    seen = 0
    for scene, narrative in spoken:
        for relation, holds in checks.items():
            behind = rf"({THING}) (?:{relation}) ({THING})"
            in_front = rf"(?:^|\. )(?:{relation}) ({THING}) (?:there is|we can see|i can see) ({THING})"
            caption = _fluent(narrative.caption)
            pairs = re.findall(behind, caption) + [(new, old) for old, new in re.findall(in_front, caption)]
            for one, other in pairs:
                assert holds(_thing(scene, one), _thing(scene, other)), narrative.caption
                seen += 1
    assert seen > 150


def test_the_background_comes_last_and_is_the_right_one(spoken):
    clues = {
        "meadow": "grass|hills|blue sky",
        "beach": "sand|sea",
        "desert": "dunes|orange sky",
        "snow": "snow|trees|cloudy",
        "night": "stars|dark sky",
        "bricks": "brick",
        "wood": "wooden",
        "city": "buildings|road",
    }
    for scene, narrative in spoken:
        caption = _fluent(narrative.caption).replace("sand dunes", "dunes")
        before, after = re.split(r"in the background|the background", caption)
        assert {name for name, words in clues.items() if re.search(words, after)} == {scene.background}, caption
        assert not any(re.search(words, before) for words in clues.values())
        assert not re.search(THING, after)


def test_the_mouse_is_on_an_object_while_it_is_named(spoken):
    naming = {"a", "the", "uh", "um", "no", "color", *spec.COLORS, *SIZES}
    num_phrases = num_pointed = 0
    for scene, narrative in spoken:
        words, points = list(_words(narrative)), _points(narrative)
        for position, (noun, _, end) in enumerate(words):
            if noun in KINDS:
                first = position
                while words[first - 1][0] in naming and first > 1:
                    first -= 1
                while words[first][0] not in ("a", "the"):  # Fillers before the article may come on the way.
                    first += 1
                times = points[:, 2]
                on_it = points[(times >= words[first][1]) & (times <= end)]
                thing = _thing(scene, noun)
                for size in (32, 128):
                    left, top, width, height = draw.pixel_box(thing, size)
                    inside = (on_it[:, :2] * size >= (left, top)) & (
                        on_it[:, :2] * size <= (left + width, top + height)
                    )
                    assert inside.all(), narrative.caption
                num_phrases += 1
                num_pointed += len(on_it) >= 5
    assert num_pointed > 0.99 * num_phrases > 700


def test_the_mouse_wanders_where_the_background_is(spoken):
    below, above = ("grass", "sand", "dunes", "snow", "road"), ("sky", "stars", "clouds")
    seen = set()
    for _, narrative in spoken:
        points = _points(narrative)
        for word, start, end in _words(narrative):
            heights = points[(points[:, 2] >= start) & (points[:, 2] <= end), 1]
            if word in below:
                assert (heights > 0.6).all(), narrative.caption
            elif word in above:
                assert (heights < 0.8).all(), narrative.caption
            seen.add(word)
    assert seen.issuperset(below + above)


def test_strokes_are_smooth_and_dense(spoken):
    steps = []
    for _, narrative in spoken:
        assert len(narrative.traces) in (1, 2)
        for stroke in narrative.traces:
            points = np.array([[point["x"], point["y"], point["t"]] for point in stroke])
            np.testing.assert_array_equal(points, np.column_stack([points[:, :2].round(4), points[:, 2].round(3)]))
            assert (np.diff(points[:, 2]) > 0).all()
            assert 1 / np.diff(points[:, 2]).mean() == pytest.approx(mouse.POINTS_A_SECOND, rel=0.1)
            steps.append(np.hypot(*np.diff(points[:, :2], axis=0).T))
        assert _points(narrative)[-1, 2] <= narrative.timed_caption[-1]["end_time"]
    steps = np.concatenate(steps)
    assert np.percentile(steps, 99) < 0.1 and steps.max() < 0.5
    two = np.mean([len(narrative.traces) == 2 for _, narrative in spoken])
    assert two == pytest.approx(mouse.SHARE_OF_TWO_STROKES, abs=0.07)


def test_a_few_points_of_a_few_narratives_leave_the_image(spoken):
    outside = np.array([np.mean(np.abs(_points(narrative)[:, :2] - 0.5).max(axis=1) > 0.5) for _, narrative in spoken])
    assert np.mean(outside > 0) == pytest.approx(mouse.SHARE_FROM_OUTSIDE, abs=0.04)
    assert outside.max() < 0.15
    assert max(np.abs(_points(narrative)[:, :2] - 0.5).max() for _, narrative in spoken) < 0.58
