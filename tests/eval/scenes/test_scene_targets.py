import numpy as np
import pytest

from data_pipelines.scenes import sample, spec
from eval.scenes import scene_targets


def _object(kind, size="small", column="left", row="top", x=0.25, y=0.27, width=0.33):
    return spec.SceneObject(kind=kind, colour="red", size=size, column=column, row=row, x=x, y=y, width=width)


def _scene(*objects, background="snow"):
    return spec.Scene(background, objects, seed=0)


def test_targets_tell_where_each_kind_is():
    scenes = [
        _scene(
            _object("ring", x=0.26, y=0.3, width=0.34),
            _object("ball", size="large", row="bottom", x=0.7, y=0.69, width=0.48),
        ),
        _scene(_object("mushroom"), background="city"),
    ]
    targets = scene_targets.encode(scenes)
    np.testing.assert_array_equal(targets.background, [3, 7])
    np.testing.assert_array_equal(targets.main_kind, [0, 7])
    assert targets.centres.shape == (2, 8, 2) and targets.widths.shape == (2, 8)
    np.testing.assert_allclose(targets.widths[0], [0.48, 0, 0, 0, 0.34, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(targets.widths[1], [0, 0, 0, 0, 0, 0, 0, 0.33], rtol=1e-6)
    np.testing.assert_allclose(targets.centres[0, [0, 4]], [[0.69, 0.7], [0.3, 0.26]], rtol=1e-6)  # y, x
    assert not targets.centres[0, [1, 2, 3, 5, 6, 7]].any()


@pytest.mark.parametrize(
    ("main", "other"),
    [
        (_object("star", size="large", row="top", column="right"), _object("box", row="bottom", column="left")),
        (_object("star", row="bottom", column="right"), _object("box", row="top", column="left", width=0.35)),
        (_object("star", column="left"), _object("box", column="middle", width=0.35)),
        (_object("star", column="middle"), _object("box", column="right")),
    ],
)
def test_the_main_object_is_large_then_near_then_left(main, other):
    assert scene_targets.main_object(_scene(main, other)) == main
    assert scene_targets.main_object(_scene(other, main)) == main


def test_every_scene_has_one_main_object_only():
    for index in range(300):
        scene = sample.sample_scene(5, "train", index)
        ranks = {(thing.size, thing.row, thing.column) for thing in scene.objects}
        assert len(ranks) == len(scene.objects)
