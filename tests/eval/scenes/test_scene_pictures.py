import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.scenes import sample, spec, writing
from eval.scenes import scene_pictures


def test_images_are_as_the_input_pipeline_reads_them(tmp_path):
    pictures = scene_pictures.draw_images(3, "validation", 3, faulty=False)
    for index in range(3):
        path = tmp_path / f"{index}.jpg"
        writing.write_image(sample.sample_scene(3, "validation", index), path, 128)
        pixels = tf.io.decode_jpeg(tf.io.read_file(str(path)), dct_method="INTEGER_ACCURATE")
        expected = tf.image.resize(pixels, [64, 64], method="bilinear").numpy()
        assert np.abs(pictures.images[index] - expected).max() <= 0.5 + 1e-3  # Rounding.
        assert np.abs(expected - np.round(expected)).max() > 0.4  # And that is not for nothing.


@pytest.mark.parametrize("faulty", [False, True])
def test_the_same_arguments_give_the_same_images(faulty):
    one, same = (scene_pictures.draw_images(3, "train", 5, faulty=faulty) for _ in range(2))
    tf.nest.map_structure(np.testing.assert_array_equal, one, same)
    other = scene_pictures.draw_images(4, "train", 5, faulty=faulty)
    assert np.abs(one.images.astype(int) - other.images).mean() > 5


def test_faults_leave_the_content_of_training_scenes():
    pictures = scene_pictures.draw_images(3, "train", 40, faulty=True)
    clean = scene_pictures.draw_images(3, "train", 40, faulty=False)
    np.testing.assert_array_equal(pictures.targets.main_kind, clean.targets.main_kind)
    np.testing.assert_array_equal(pictures.targets.background, clean.targets.background)
    np.testing.assert_array_equal(pictures.targets.widths, clean.targets.widths)
    moved = np.abs(pictures.targets.centres - clean.targets.centres)
    assert 0.03 < moved.max() <= 0.04 + 1e-6
    half = pictures.targets.widths[..., np.newaxis] / 2
    assert np.all(np.where(half > 0, pictures.targets.centres - half, 0) >= -1e-5)
    assert np.all(np.where(half > 0, pictures.targets.centres + half, 1) <= 1 + 1e-5)
    for index in range(40):
        scene = sample.sample_scene(3, "train", index)
        assert not sample.is_held_out(scene)
        assert {spec.KINDS[kind] for kind in np.flatnonzero(pictures.targets.widths[index])} == {
            thing.kind for thing in scene.objects
        }
