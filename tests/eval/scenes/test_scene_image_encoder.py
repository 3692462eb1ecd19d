import json

import numpy as np
import pytest
import tensorflow as tf

from eval.scenes import scene_image_encoder, scene_images, scene_recognizer_training
from tests.support.eagerly import eagerly
from xmcgan.models.image_encoder import build_image_encoder


def _build(folder, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_recognizer_training, "_HELD_OUT", 64)
        scene_image_encoder.build(folder, steps=steps)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An encoder that has hardly been trained."""
    folder = tmp_path_factory.mktemp("encoder") / "built"
    with eagerly():
        _build(folder, steps=2)
    return folder


@pytest.mark.slow  # Eighty steps.
def test_its_features_tell_backgrounds_apart(tmp_path):
    folder = tmp_path / "built"
    _build(folder, steps=80)
    encoder = build_image_encoder("hub", str(folder), "", 64)
    labeled = scene_images.draw_images(11, "validation", 256, faulty=False)
    features = encoder(labeled.images.astype(np.float32) / 255).numpy()  # [256, 128]
    assert features.shape == (256, 128)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similar = unit @ unit.T - 2 * np.eye(256)
    nearest = similar.argmax(axis=1)
    backgrounds = labeled.targets.background
    assert np.mean(backgrounds[nearest] == backgrounds) > 0.5  # By chance: an eighth.


def test_gradients_reach_the_image(folder):
    """Along the gradient, where the slope is far above what kinks of ReLUs and rounding do to the difference."""
    encoder = build_image_encoder("hub", str(folder), "", 64)
    labeled = scene_images.draw_images(11, "validation", 8, faulty=False)
    images = tf.constant(labeled.images.astype(np.float32) / 255)

    def value(images):
        return tf.reduce_sum(encoder(images) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(images)
        middle = value(images)
    gradient = tape.gradient(middle, images)
    slope, step = tf.norm(gradient), 0.03
    ahead, behind = (value(images + sign * step * gradient / slope) for sign in (1, -1))
    np.testing.assert_allclose((ahead - behind) / (2 * step), slope, rtol=0.02)


def test_it_is_not_the_evaluator(folder):
    with open(folder / "recognizer.json", encoding="utf-8") as file:
        seed = json.load(file)["seed"]
    default = scene_recognizer_training.build.__kwdefaults__["seed"]
    # `build` draws its held-out scenes from the seed after.
    assert not {seed, seed + 1} & {default, default + 1}
    assert scene_image_encoder.build(folder)["seed"] == seed  # It is there: nothing is trained again.
