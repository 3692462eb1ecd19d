import numpy as np
import pytest

from data_pipelines.scenes import spec
from data_pipelines.scenes.describe import describe
from experiments.checks import caption_groups


@pytest.fixture(scope="module")
def groups():
    return caption_groups.find(num_captions=3, per_caption=2)


def test_each_caption_describes_its_scenes_and_names_one_kind(groups):
    assert len({group.caption for group in groups}) == 3
    for group in groups:
        assert len(group.scenes) == 2
        for scene in group.scenes:
            assert group.caption in describe(scene)
            assert spec.KINDS[group.kind] in {thing.kind for thing in scene.objects}


def test_real_images_differ_where_the_caption_leaves_room(groups):
    images = caption_groups.real_images(groups)
    assert images.shape == (6, 64, 64, 3)
    assert images.dtype == np.uint8
    assert np.any(images[0] != images[1])


def test_spread_of_known_images():
    # Two captions with two images: the second caption's object is found in one of its images only.
    features = np.array([[0.0], [2.0], [10.0], [12.0]])
    centers = np.array([[0.2, 0.5], [0.4, 0.5], [0.1, 0.1], [0.9, 0.9]])
    measured = caption_groups.spread(features, centers, np.array([0.9, 0.5, 0.8, 0.1]), num_groups=2)
    assert measured.features == pytest.approx(2.0 / np.var(features, ddof=1))
    assert measured.position == pytest.approx((0.02 / 2) ** 0.5)
    assert measured.found == 0.75
