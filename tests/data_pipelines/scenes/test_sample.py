"""Scenes are reproducible, well spread, apart from each other, and split without overlap."""

from __future__ import annotations

import collections
import itertools

import pytest

from data_pipelines.scenes import sample, spec


@pytest.fixture(scope="module")
def scenes():
    return {split: [sample.sample_scene(0, split, index) for index in range(1500)] for split in sample.SPLITS}


def test_a_scene_depends_on_seed_split_and_index_only():
    first = [sample.sample_scene(3, "train", index) for index in range(20)]
    again = [sample.sample_scene(3, "train", index) for index in reversed(range(20))][::-1]
    assert first == again
    assert first != [sample.sample_scene(4, "train", index) for index in range(20)]
    assert len({(scene.background, scene.objects) for scene in first}) == 20


def test_no_content_is_in_both_splits(scenes):
    def contents(split):
        return {
            (scene.background, frozenset((thing.kind, thing.color) for thing in scene.objects))
            for scene in scenes[split]
        }

    assert not contents("train") & contents("validation")


@pytest.mark.parametrize("split", sample.SPLITS)
def test_everything_comes_up_about_equally_often(scenes, split):
    numbers = collections.Counter(len(scene.objects) for scene in scenes[split])
    assert numbers[1] / 1500 == pytest.approx(0.45, abs=0.06)
    assert numbers[3] / 1500 == pytest.approx(0.15, abs=0.05)
    things = [thing for scene in scenes[split] for thing in scene.objects]
    for seen, wanted in (
        ([thing.kind for thing in things], spec.KINDS),
        ([thing.color for thing in things], spec.COLORS),
        ([thing.size for thing in things], spec.SIZES),
        ([thing.column + thing.row for thing in things], [c + r for c in spec.COLUMNS for r in spec.ROWS]),
        ([scene.background for scene in scenes[split]], spec.BACKGROUNDS),
    ):
        counts = collections.Counter(seen)
        assert set(counts) == set(wanted)
        assert min(counts.values()) > 0.5 * len(seen) / len(wanted)


def test_objects_stand_out_and_apart_and_inside(scenes):
    for scene in itertools.chain.from_iterable(scenes.values()):
        assert len({thing.kind for thing in scene.objects}) == len({thing.color for thing in scene.objects})
        assert len({thing.kind for thing in scene.objects}) == len(scene.objects)
        for thing in scene.objects:
            assert thing.color not in spec.BACKGROUNDS[scene.background]
            assert 0 <= min(thing.x, thing.y) - thing.width / 2 < max(thing.x, thing.y) + thing.width / 2 <= 1
        for one, other in itertools.combinations(scene.objects, 2):
            overlap_x = (one.width + other.width) / 2 - abs(one.x - other.x)
            overlap_y = (one.width + other.width) / 2 - abs(one.y - other.y)
            shared = max(overlap_x, 0) * max(overlap_y, 0)
            assert shared < 0.25 * min(one.width, other.width) ** 2
