"""Detectors of the published APIs, as stubs whose detections are a function of the image's first pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from eval.networks import detector
from tests.support.commands import run_program

SLOTS = 100


class ZooStub(tf.Module):
    """The API of the TF2 Detection Zoo: pixel (0, i) of an image is detection i, as (id, 100 * score, edge)."""

    def __init__(self, batch, dtype=tf.uint8, slots=SLOTS, only_one=False):
        super().__init__()
        self._only_one = only_one
        self.one = tf.Variable(1.0)
        signature = [tf.TensorSpec([batch, None, None, 3], dtype, name="input_tensor")]
        self._called = tf.function(self._detect, input_signature=signature)
        self._slots = slots

    def __call__(self, images):
        return self._called(images)

    def _detect(self, images):
        if self._only_one:
            images = tf.reshape(images, [1, *tf.unstack(tf.shape(images))[1:]])
        pixels = self.one * tf.cast(images[:, 0], tf.float32)  # [batch, width, 3]
        pixels = tf.pad(pixels, [[0, 0], [0, self._slots], [0, 0]])[:, : self._slots]
        edges = pixels[..., 2] / 255.0
        return {
            "detection_boxes": tf.stack([0 * edges, edges / 2, edges, 0 * edges + 1], axis=-1),
            "detection_classes": tf.maximum(pixels[..., 0], 1.0),  # Detectors of the zoo pad with id 1.
            "detection_scores": pixels[..., 1] / 100.0,
            "num_detections": tf.reduce_sum(tf.cast(pixels[..., 0] > 0, tf.float32), axis=1),
            "raw_detection_boxes": tf.zeros([tf.shape(images)[0], 7, 4]),
        }


class CalledStub(ZooStub):
    """Like `ZooStub`, but `__call__` itself is in the SavedModel, as in published ones, and there are no signatures."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.__call__ = self._called


def _save(module, folder):
    signatures = None if isinstance(module, CalledStub) else module._called
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return str(folder)


@pytest.fixture(scope="module")
def handles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detectors")
    stubs = {
        "single": CalledStub(1),
        "batched": CalledStub(None),
        "signature": ZooStub(1),
        "many": CalledStub(1, slots=300),
    }
    stubs |= {"float": CalledStub(None, tf.float32), "few": CalledStub(1, slots=3)}
    stubs |= {"one in truth": CalledStub(None, only_one=True)}  # It says that it takes any number.
    return {name: _save(stub, folder / name) for name, stub in stubs.items()}


def _images(*described, width=40):
    """Images with the detections (id, score, edge)."""
    images = np.zeros([len(described), 30, width, 3], np.uint8)
    for image, detections in zip(images, described):
        for i, (number, score, edge) in enumerate(detections):
            image[0, i] = number, round(100 * score), edge
    return images


IMAGES = (
    [(1, 0.9, 255), (90, 0.8, 51), (13, 0.7, 102), (1, 0.3, 0)],  # person, toothbrush, stop sign, person
    [],
    [(12, 0.9, 255), (91, 0.8, 255), (18, 0.5, 255)],  # Two ids without a class, dog.
)


@pytest.mark.parametrize("form", ["single", "batched", "signature", "float", "many", "few", "one in truth"])
@pytest.mark.parametrize("compiled", [False, True])
def test_detections(handles, form, compiled):
    found = detector.load_detector(handles[form], "coco91")
    described = [detections[:3] for detections in IMAGES] if form == "few" else IMAGES
    detections = (tf.function(found) if compiled else found)(tf.constant(_images(*described)))
    slots = 300 if form == "many" else 100
    assert [tuple(tensor.shape) for tensor in detections] == [(3, slots, 4), (3, slots), (3, slots)]
    assert [tensor.dtype for tensor in detections] == [tf.float32, tf.int32, tf.float32]

    classes, scores = np.full([3, slots], -1), np.zeros([3, slots])
    first = [("person", 0.9), ("toothbrush", 0.8), ("stop sign", 0.7), ("person", 0.3)][: len(described[0])]
    for i, (name, score) in enumerate(first):
        classes[0, i], scores[0, i] = found.class_names.index(name), score
    classes[2, 2], scores[2, 2] = found.class_names.index("dog"), 0.5
    np.testing.assert_array_equal(detections.classes, classes)
    np.testing.assert_allclose(detections.scores, scores, atol=1e-6)
    np.testing.assert_allclose(detections.boxes[0, :3], [[0, 0.5, 1, 1], [0, 0.1, 0.2, 1], [0, 0.2, 0.4, 1]], atol=1e-6)


@pytest.mark.parametrize("form", ["single", "batched"])
def test_an_empty_batch_has_no_detections(handles, form):
    found = detector.load_detector(handles[form], "coco91")
    detections = tf.function(found)(tf.zeros([0, 30, 40, 3], tf.uint8))
    assert detections.boxes.shape == (0, SLOTS, 4)
    assert detector.best_scores(detections, 80).shape == (0, 80)


def test_open_images_api(tmp_path):
    """TF1's Hub format, single float images in [0, 1], outputs without a batch."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        images = tf.compat.v1.placeholder(tf.float32, [1, None, None, 3])
        pixels = tf.boolean_mask(images[0, 0], images[0, 0, :, 0] > 0)  # As many as there are.
        outputs = {
            "detection_boxes": tf.tile(pixels[:, 2:], [1, 4]),
            "detection_class_labels": tf.cast(tf.round(255 * pixels[:, 0]), tf.int64),
            "detection_class_names": tf.fill(tf.shape(pixels)[:1], "thing"),
            "detection_scores": 2.55 * pixels[:, 1],
        }
        signature = tf.compat.v1.saved_model.predict_signature_def({"images": images}, outputs)
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "old"))
        builder.add_meta_graph_and_variables(session, [], {"default": signature})
        builder.save()
    (tmp_path / "old" / "tfhub_module.pb").write_bytes(b"\x08\x03")
    (tmp_path / "labels.txt").write_text("Tortoise\nContainer\nMagpie\n")
    found = detector.load_detector(str(tmp_path / "old"), str(tmp_path / "labels.txt"))
    detections = tf.function(found)(tf.constant(_images([(3, 0.9, 51), (1, 0.4, 255)], [], [(2, 0.25, 0)])))
    np.testing.assert_array_equal(detections.classes[:, :3], [[2, 0, -1], [-1, -1, -1], [1, -1, -1]])
    np.testing.assert_allclose(detections.scores[:, :3], [[0.9, 0.4, 0], [0, 0, 0], [0.25, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(detections.boxes[0, :3], [[0.2] * 4, [1.0] * 4, [0.0] * 4], atol=1e-6)
    assert found.class_names == ("Tortoise", "Container", "Magpie")
    assert found.identity["range"] == "float32 in [0, 1]"


def test_best_scores_by_hand():
    detections = detector.Detections(
        boxes=tf.zeros([3, 4, 4]),
        classes=tf.constant([[2, 0, 2, 0], [-1, -1, -1, -1], [1, 1, -1, 1]]),
        scores=tf.constant([[0.5, 0.25, 0.75, 0.125], [0.0, 0.0, 0.0, 0.0], [0.5, 0.625, 0.0, 0.25]]),
    )
    expected = [[0.25, 0.0, 0.75], [0.0, 0.0, 0.0], [0.0, 0.625, 0.0]]
    np.testing.assert_array_equal(detector.best_scores(detections, 3), expected)


@pytest.mark.parametrize(
    "handle, name",
    [
        ("https://tfhub.dev/tensorflow/efficientdet/d4/1", "efficientdet/d4"),
        ("https://tfhub.dev/tensorflow/efficientdet/d4/1?tf-hub-format=compressed", "efficientdet/d4"),
        (
            "https://www.kaggle.com/models/tensorflow/efficientdet/frameworks/TensorFlow2/variations/d4/versions/1",
            "efficientdet/d4",
        ),
        ("/models/efficientdet_d4_coco17_tpu-32/saved_model", "efficientdet_d4_coco17_tpu-32"),
        ("/models/efficientdet_d4_coco17_tpu-32/saved_model/", "efficientdet_d4_coco17_tpu-32"),
        ("/models/mine/1", "mine"),
        ("/1", "detector"),
    ],
)
def test_names(handle, name):
    assert detector._name(handle) == name


def test_name_and_identity(handles):
    found = detector.load_detector(handles["single"], "coco80")
    assert found.name == "single"
    identity = json.loads(json.dumps(found.identity))
    assert len(identity.pop("sha256")) == 64
    assert identity == {
        "name": "single",
        "weights": handles["single"],
        "labels": "coco80",
        "range": "uint8 in [0, 255]",
    }
    assert detector.load_detector(handles["single"], "scenes").name == "scenes"


def test_runs_on_two_replicas(handles, tmp_path):
    images = _images(*IMAGES)
    np.savez(tmp_path / "alone.npz", images, *detector.load_detector(handles["single"], "coco91")(images))
    program = """
        import sys
        import numpy as np
        import tensorflow as tf
        from eval.networks.detector import best_scores, load_detector

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        images, *alone = np.load(sys.argv[1]).values()
        for handle in sys.argv[2:]:
            with strategy.scope():
                detector = load_detector(handle, "coco91")
            step = tf.function(lambda x: strategy.run(detector, args=(x,)))
            batches = tf.data.Dataset.from_tensor_slices(images).batch(3)
            for together, expected in zip(step(next(iter(strategy.experimental_distribute_dataset(batches)))), alone):
                replicas = strategy.experimental_local_results(together)
                assert [len(replica) for replica in replicas] == [2, 1]
                np.testing.assert_array_equal(tf.concat(replicas, 0), expected)
    """
    run_program(program, tmp_path / "alone.npz", *map(handles.get, ("single", "batched", "signature")))


def _boxes_alone(images):
    return {"detection_boxes": tf.zeros([1, 5, 4]), "boxes": tf.zeros_like(images)}


def _tuple(images):
    return tf.zeros_like(images), tf.zeros([1, 5])


@pytest.mark.parametrize(
    "call, spec, reason",
    [
        (_boxes_alone, tf.TensorSpec([1, None, None, 3], tf.uint8), "no detection_scores among boxes, detection_boxes"),
        (_tuple, tf.TensorSpec([1, None, None, 3], tf.uint8), "does not return a dict"),
        (_boxes_alone, tf.TensorSpec([8, None, None, 3], tf.uint8), "takes 8 images at once"),
        (_boxes_alone, tf.TensorSpec([1, None, None, 3], tf.int32), "images of type int32"),
        (_boxes_alone, tf.TensorSpec([None], tf.string), "nothing in this SavedModel takes images"),
    ],
)
def test_refuses_other_apis(tmp_path, call, spec, reason):
    module = tf.Module()
    module.__call__ = tf.function(call, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path))
    with pytest.raises(
        ValueError, match=rf"--detector='.*' is not an object detector of a known API .*{reason}"
    ) as error:
        detector.load_detector(str(tmp_path), "coco91")
    assert "\n" not in str(error.value)


def test_offline_says_what_to_fetch(offline, tmp_path):
    message = r"--flag='https://tfhub.dev/tensorflow/efficientdet/d4/1' cannot be fetched .*, and pass --flag=FOLDER$"
    with pytest.raises(FileNotFoundError, match=message):
        detector.load_detector("https://tfhub.dev/tensorflow/efficientdet/d4/1", "coco91", flag="--flag")
    with pytest.raises(FileNotFoundError, match="--labels='coco' is neither"):
        detector.load_detector(str(tmp_path), "coco", labels_flag="--labels")
