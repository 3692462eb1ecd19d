import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.scenes import draw, sample, spec
from eval.scenes import scene_images


def test_images_are_as_the_input_pipeline_reads_them(tmp_path):
    labeled = scene_images.draw_images(3, "validation", 3, faulty=False)
    for index in range(3):
        path = tmp_path / f"{index}.jpg"
        draw.write_image(sample.sample_scene(3, "validation", index), path, 128)
        pixels = tf.io.decode_jpeg(tf.io.read_file(str(path)), dct_method="INTEGER_ACCURATE")
        expected = tf.image.resize(pixels, [64, 64], method="bilinear").numpy()
        assert np.abs(labeled.images[index] - expected).max() <= 0.5 + 1e-3  # Rounding.
        assert np.abs(expected - np.round(expected)).max() > 0.4  # And that is not for nothing.


@pytest.mark.parametrize("faulty", [False, True])
def test_the_same_arguments_give_the_same_images(faulty):
    one, same = (scene_images.draw_images(3, "train", 5, faulty=faulty) for _ in range(2))
    tf.nest.map_structure(np.testing.assert_array_equal, one, same)
    other = scene_images.draw_images(4, "train", 5, faulty=faulty)
    assert np.abs(one.images.astype(int) - other.images).mean() > 5


def test_faults_leave_the_content_of_training_scenes():
    labeled = scene_images.draw_images(3, "train", 40, faulty=True)
    clean = scene_images.draw_images(3, "train", 40, faulty=False)
    np.testing.assert_array_equal(labeled.targets.main_kind, clean.targets.main_kind)
    np.testing.assert_array_equal(labeled.targets.background, clean.targets.background)
    np.testing.assert_array_equal(labeled.targets.widths, clean.targets.widths)
    moved = np.abs(labeled.targets.centers - clean.targets.centers)
    assert 0.03 < moved.max() <= 0.04 + 1e-6
    half = labeled.targets.widths[..., np.newaxis] / 2
    assert np.all(np.where(half > 0, labeled.targets.centers - half, 0) >= -1e-5)
    assert np.all(np.where(half > 0, labeled.targets.centers + half, 1) <= 1 + 1e-5)
    for index in range(40):
        scene = sample.sample_scene(3, "train", index)
        assert not sample.is_held_out(scene)
        assert {spec.KINDS[kind] for kind in np.flatnonzero(labeled.targets.widths[index])} == {
            thing.kind for thing in scene.objects
        }


def _object(kind, size="small", column="left", row="top", x=0.25, y=0.27, width=0.33):
    return spec.SceneObject(kind=kind, color="red", size=size, column=column, row=row, x=x, y=y, width=width)


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
    targets = scene_images.encode(scenes)
    np.testing.assert_array_equal(targets.background, [3, 7])
    np.testing.assert_array_equal(targets.main_kind, [0, 7])
    assert targets.centers.shape == (2, 8, 2) and targets.widths.shape == (2, 8)
    np.testing.assert_allclose(targets.widths[0], [0.48, 0, 0, 0, 0.34, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(targets.widths[1], [0, 0, 0, 0, 0, 0, 0, 0.33], rtol=1e-6)
    np.testing.assert_allclose(targets.centers[0, [0, 4]], [[0.69, 0.7], [0.3, 0.26]], rtol=1e-6)  # y, x
    assert not targets.centers[0, [1, 2, 3, 5, 6, 7]].any()


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
    assert scene_images.main_object(_scene(main, other)) == main
    assert scene_images.main_object(_scene(other, main)) == main


def test_every_scene_has_one_main_object_only():
    for index in range(300):
        scene = sample.sample_scene(5, "train", index)
        ranks = {(thing.size, thing.row, thing.column) for thing in scene.objects}
        assert len(ranks) == len(scene.objects)
