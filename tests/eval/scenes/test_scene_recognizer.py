import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.scenes import spec
from eval.scenes import scene_images, scene_recognizer, scene_recognizer_training
from eval.scenes.scene_images import SceneTargets
from eval.scenes.scene_recognizer import RawOutputs
from tests.support.eagerly import eagerly

STEPS, BATCH = 80, 16


def _build(folder, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_recognizer_training, "_HELD_OUT", 64)
        patch.setattr(scene_recognizer_training, "_BATCH_SIZE", BATCH)
        return folder, scene_recognizer_training.build(folder, seed=3, steps=steps)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a recognizer that has hardly been trained, and its report."""
    with eagerly():
        return _build(tmp_path_factory.mktemp("recognizer") / "built", 2)


@pytest.fixture(scope="module")
def recognizer(built):
    """The same, loaded."""
    return tf.saved_model.load(str(built[0]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The same, with a short training."""
    return _build(tmp_path_factory.mktemp("recognizer") / "trained", STEPS)


@pytest.fixture(scope="module")
def labeled():
    return scene_images.draw_images(8, "validation", 64, faulty=False)


def _raw(places, widths=0.4):
    """The outputs of a network that saw [batch, 8, 8, kinds] in its maps of places and the same width everywhere."""
    batch, _, _, kinds = places.shape
    return RawOutputs(
        features=tf.zeros([batch, 176]),
        background=tf.zeros([batch, 8]),
        claims=tf.zeros([batch, 8, 8, kinds]),
        places=tf.constant(places, tf.float32),
        widths=tf.fill([batch, 8, 8, 1], widths),
    )


def test_shares_of_places_sum_to_one_and_average_to_the_centre():
    centers = np.random.default_rng(0).uniform(1 / 16, 15 / 16, size=(5, 8, 2))
    shares = scene_recognizer.place_shares(tf.constant(centers, tf.float32)).numpy()  # [batch, 8, 8, kinds]
    np.testing.assert_allclose(shares.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert np.all((shares > 0).sum(axis=(1, 2)) <= 4)
    along = (np.arange(8) + 0.5) / 8
    np.testing.assert_allclose(np.einsum("bijk,i->bk", shares, along), centers[..., 0], atol=1e-5)
    np.testing.assert_allclose(np.einsum("bijk,j->bk", shares, along), centers[..., 1], atol=1e-5)


def test_maps_are_read_as_probabilities():
    places = np.full([1, 8, 8, 2], -30.0)
    places[0, 2, 5, 0] = places[0, 2, 6, 0] = 1.0  # Twice e against 1 for nowhere.
    objects = scene_recognizer.find_objects(_raw(places))
    probability = 2 * np.e / (1 + 2 * np.e)
    np.testing.assert_allclose(tf.sigmoid(objects.presence)[0], [probability, 0], atol=1e-6)
    np.testing.assert_allclose(objects.centers[0, 0], [2.5 / 8, 6 / 8], atol=1e-6)  # y, x
    np.testing.assert_allclose(objects.widths[0, 0], 0.4, atol=1e-6)


def test_losses_against_a_hand_sum():
    places = np.random.default_rng(1).normal(size=(1, 8, 8, 2)).astype(np.float32)
    raw = _raw(places, widths=0.4)
    center = np.array([2.5 / 8, 6.25 / 8])  # In the middle of row 2; a quarter and three quarters of columns 6 and 5.
    targets = SceneTargets(
        background=np.array([2], np.int32),
        main_kind=np.array([0], np.int32),
        centers=np.array([[center, [0, 0]]], np.float32),
        widths=np.array([[0.5, 0]], np.float32),
    )
    losses = scene_recognizer_training.recognition_losses(raw, targets)
    exp = np.exp(places[0])  # [8, 8, kinds]
    found = -0.25 * np.log(exp[2, 5, 0] / (1 + exp[..., 0].sum())) - 0.75 * np.log(
        exp[2, 6, 0] / (1 + exp[..., 0].sum())
    )
    np.testing.assert_allclose(losses["places"], found + np.log(1 + exp[..., 1].sum()), rtol=1e-5)
    np.testing.assert_allclose(losses["widths"], 5.0 * 0.1, rtol=1e-4)
    np.testing.assert_allclose(losses["background"], np.log(8), rtol=1e-5)
    np.testing.assert_allclose(losses["main_kind"], np.log(2), rtol=1e-5)


def test_the_class_is_the_pair_of_background_and_kind():
    rng = np.random.default_rng(0)
    background, kind = rng.normal(size=(2, 3, 8)).astype(np.float32)
    joint = tf.nn.softmax(scene_recognizer.joint_logits(tf.constant(background), tf.constant(kind))).numpy()
    for row in range(3):
        product = np.outer(tf.nn.softmax(background[row]), tf.nn.softmax(kind[row]))
        np.testing.assert_allclose(joint[row].reshape(8, 8), product, rtol=1e-4)


def test_boxes_are_cut_at_the_edges():
    boxes = scene_recognizer.square_boxes(tf.constant([[0.5, 0.1]]), tf.constant([0.4]))
    np.testing.assert_allclose(boxes, [[0.3, 0.0, 0.7, 0.3]], atol=1e-6)


def test_intersection_over_union():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.5, 0.5], [0, 0, 0.4, 0.4], [0.2, 0.2, 0.6, 0.8]])
    others = np.array([[0, 0, 1, 0.5], [0.25, 0.25, 0.75, 0.75], [0.5, 0.5, 1, 1], [0.2, 0.2, 0.6, 0.8]])
    overlaps = scene_recognizer_training.intersection_over_union(boxes, others)
    np.testing.assert_allclose(overlaps, [0.5, 1 / 7, 0, 1], atol=1e-12)


def test_measures_of_a_recognizer_that_errs(labeled):
    """It is right, except that it misses every 'ring' and detects a 'moon' everywhere, half as wide as it is."""
    images, targets = labeled
    ring, moon = spec.KINDS.index("ring"), spec.KINDS.index("moon")
    present = targets.widths > 0
    scores = np.where(present, 0.9, 0.1)
    scores[:, ring], scores[:, moon] = 0.4, 0.6
    widths = targets.widths.copy()
    widths[:, moon] *= 0.5
    order = np.argsort(-scores, axis=1)
    boxes = scene_recognizer.square_boxes(targets.centers, widths).numpy()
    outputs = {
        "detection_scores": np.take_along_axis(scores, order, axis=1),
        "detection_classes": order + 1.0,
        "detection_boxes": np.take_along_axis(boxes, order[..., np.newaxis], axis=1),
        "logits": np.eye(64)[8 * targets.background + (targets.main_kind + 1) % 8],
    }
    measures = scene_recognizer_training.measure(lambda batch: outputs, labeled)
    rings, moons = present[:, ring].sum(), present[:, moon].sum()
    assert rings and moons
    found = present.sum() - rings
    np.testing.assert_allclose(measures["recall"], found / present.sum())
    np.testing.assert_allclose(measures["precision"], found / (found + len(images) - moons))
    np.testing.assert_allclose(measures["iou"], (found - moons + 0.25 * moons) / found, rtol=1e-5)
    assert measures["background_accuracy"] == 1.0
    assert measures["main_kind_accuracy"] == 0.0


def test_a_few_steps_lower_the_losses(labeled):
    recognizer = scene_recognizer.SceneRecognizer(3)

    def loss():
        losses = scene_recognizer_training.recognition_losses(
            recognizer.recognize(labeled.images, training=True), labeled.targets
        )
        return sum(float(value) for value in losses.values())

    before = loss()
    with eagerly(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene_recognizer_training, "_BATCH_SIZE", BATCH)
        scene_recognizer_training.train(recognizer, labeled, steps=8, seed=0)
    assert loss() < 0.9 * before


@pytest.mark.slow  # Eighty steps. That losses fall: above.
def test_a_short_training_improves(trained, labeled):
    folder, report = trained
    untrained = scene_recognizer_training.measure(scene_recognizer.SceneRecognizer(3), labeled)
    assert untrained["background_accuracy"] < 0.4 and untrained["recall"] < 0.2
    assert report["background_accuracy"] > 0.6
    assert report["steps"] == STEPS and report["seed"] == 3 and report["scenes"] == STEPS * BATCH // 2
    assert set(untrained) < set(report) and report["seconds"] > 0
    boxes = tf.saved_model.load(str(folder))(labeled.images[:3])["detection_boxes"].numpy()
    assert np.all(boxes[..., 2:] >= boxes[..., :2])


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (50, 90)])
def test_the_saved_model_has_the_detection_api(recognizer, labeled, size):
    images = tf.cast(tf.round(tf.image.resize(labeled.images[:3], size)), tf.uint8)
    outputs = recognizer(images)
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {
        "features": (3, scene_recognizer.FEATURES),
        "logits": (3, scene_recognizer.CLASSES),
        "detection_boxes": (3, 8, 4),
        "detection_classes": (3, 8),
        "detection_scores": (3, 8),
        "num_detections": (3,),
    }
    assert all(value.dtype == tf.float32 and np.all(np.isfinite(value)) for value in outputs.values())
    boxes, scores = outputs["detection_boxes"].numpy(), outputs["detection_scores"].numpy()
    assert np.all(boxes >= 0) and np.all(boxes <= 1)
    assert np.all(scores >= 0) and np.all(scores <= 1) and np.all(np.diff(scores, axis=1) <= 0)
    np.testing.assert_array_equal(np.sort(outputs["detection_classes"], axis=1), [range(1, 9)] * 3)
    np.testing.assert_array_equal(outputs["num_detections"], [8, 8, 8])


def test_images_are_resized_as_in_the_input_pipeline(recognizer):
    images = np.random.default_rng(0).integers(0, 256, size=(2, 90, 50, 3), dtype=np.uint8)
    resized = tf.cast(tf.round(tf.image.resize(images, [64, 64], method="bilinear")), tf.uint8)
    np.testing.assert_allclose(recognizer(images)["features"], recognizer(resized)["features"], atol=1e-4)


@pytest.mark.slow  # Eighty steps.
def test_features_have_a_common_scale(trained):
    images = scene_images.draw_images(4, "train", 64, faulty=True).images
    deviations = tf.saved_model.load(str(trained[0]))(images)["features"].numpy().std(axis=0)
    assert 0.6 < np.median(deviations) < 1.6
    assert np.mean((deviations > 0.3) & (deviations < 3)) > 0.9


@pytest.mark.slow  # The evaluation loads it without this package's classes, too: test_run_evaluation.
def test_a_program_with_tensorflow_alone_can_load_it(built, recognizer, labeled, tmp_path):
    np.save(tmp_path / "images.npy", labeled.images)
    program = """
        import sys, numpy as np, tensorflow as tf
        outputs = tf.saved_model.load(sys.argv[1])(np.load(sys.argv[2] + "/images.npy"))
        np.savez(sys.argv[2] + "/outputs.npz", **outputs)
        assert not any(name.split(".")[0] in ("eval", "xmcgan", "data_pipelines") for name in sys.modules)
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(built[0]), str(tmp_path)], check=True, cwd=tmp_path
    )
    here = recognizer(labeled.images)
    with np.load(tmp_path / "outputs.npz") as outputs:
        for name, value in here.items():
            np.testing.assert_allclose(outputs[name], value, atol=1e-4)


def test_a_second_call_does_nothing(built, monkeypatch):
    folder, report = built
    assert scene_recognizer_training.is_built(folder)
    monkeypatch.setattr(scene_images, "draw_images", lambda *args, **kwargs: pytest.fail("built again"))
    assert scene_recognizer_training.build(folder, seed=5, steps=1) == report
    assert json.loads((folder / "recognizer.json").read_text()) == report


@pytest.mark.slow  # Two builds; that scenes and batches do not vary: test_scene_images.
def test_the_seed_decides_all(tmp_path, labeled, monkeypatch):
    monkeypatch.setattr(scene_recognizer_training, "_HELD_OUT", 4)

    def features(name):
        scene_recognizer_training.build(tmp_path / name, seed=1, steps=3)
        return tf.saved_model.load(str(tmp_path / name))(labeled.images)["features"].numpy()

    (tmp_path / "b.incomplete" / "variables").mkdir(parents=True)  # Leftovers of a killed call are replaced.
    np.testing.assert_array_equal(features("a"), features("b"))
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_the_seed_decides_the_weights():
    one, same, other = (
        scene_recognizer.SceneRecognizer(seed).network.trainable_variables[0].numpy() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_a_killed_build_leaves_nothing_under_the_name(tmp_path, command):
    program = "import os, sys; os.setsid(); from eval.scenes import scene_recognizer_training; "
    program += "scene_recognizer_training.build(sys.argv[1], steps=100_000)"
    process = command("tests.support.script", program, tmp_path / "killed")
    try:
        limit = time.time() + 60
        while not any(tmp_path.glob("killed.incomplete.*")) and time.time() < limit:
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # Together with the processes that draw.
        process.wait()
    assert os.listdir(tmp_path) and not (tmp_path / "killed").exists()
    assert not scene_recognizer_training.is_built(tmp_path / "killed")


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="steps=0: train the scene recognizer for at least one step"):
        scene_recognizer_training.build(tmp_path / "none", steps=0)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        scene_recognizer_training.build(tmp_path, steps=1)
    assert (tmp_path / "notes.txt").read_text() == "mine"
