import json

import numpy as np
import pytest
import tensorflow as tf

from eval.scenes import scene_image_encoder, scene_pictures, scene_recognizer_training
from xmcgan.models.image_encoder import build_image_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder") / "built"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_recognizer_training, "_HELD_OUT", 64)
        scene_image_encoder.build(folder, steps=80)
    return folder


def test_its_features_tell_backgrounds_apart(folder):
    encoder = build_image_encoder("hub", str(folder), "", 64)
    pictures = scene_pictures.draw_pictures(11, "validation", 256, faulty=False)
    features = encoder(pictures.images.astype(np.float32) / 255).numpy()  # [256, 128]
    assert features.shape == (256, 128)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similar = unit @ unit.T - 2 * np.eye(256)
    nearest = similar.argmax(axis=1)
    backgrounds = pictures.targets.background
    assert np.mean(backgrounds[nearest] == backgrounds) > 0.5  # By chance: an eighth.


def test_gradients_reach_the_picture(folder):
    encoder = build_image_encoder("hub", str(folder), "", 64)
    image = tf.random.stateless_uniform([1, 64, 64, 3], [0, 0])
    direction = tf.random.stateless_normal(image.shape, [0, 1])
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = tf.reduce_sum(encoder(image) ** 2)
    slope = tf.reduce_sum(tape.gradient(value, image) * direction)
    step = 1e-3
    ahead, behind = (tf.reduce_sum(encoder(image + sign * step * direction) ** 2) for sign in (1, -1))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=0.05)


def test_it_is_not_the_evaluator(folder):
    with open(folder / "recognizer.json", encoding="utf-8") as file:
        seed = json.load(file)["seed"]
    default = scene_recognizer_training.build.__kwdefaults__["seed"]
    # `build` draws its held-out scenes from the seed after.
    assert not {seed, seed + 1} & {default, default + 1}
    assert scene_image_encoder.build(folder)["seed"] == seed  # It is there: nothing is trained again.
