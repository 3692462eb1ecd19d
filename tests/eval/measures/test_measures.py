"""The measures with tiny networks whose outputs are known, compared with the functions of the metrics."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.datasets import preset
from data_pipelines.input_pipeline import CaptionList
from eval.measures import alignment, quality
from eval.measures.alignment import Alignment
from eval.measures.build import build_measures
from eval.measures.measure import Reference, Seen
from eval.measures.objects import Objects
from eval.measures.quality import Quality
from eval.metrics.frechet import frechet_distance
from eval.metrics.inception_score import inception_score
from eval.networks.detector import Detections
from eval.objects.soa_classes import SCENE_CLASSES, classes_named
from eval.score import HIGHER, LOWER

N = 60
LISTED = CaptionList([f"caption {i}" for i in range(N)], [f"image {i // 2}" for i in range(N)])


class _Rows(Seen):
    """Rows in memory, in parts of uneven length."""

    def __init__(self, **rows):
        self._rows = rows

    def parts(self, name):
        return iter(np.split(self._rows[name], [7, 40]))


class _Network:
    name, is_inception, identity = "tfgan", True, {"weights": "/some/where", "sha256": "abc"}

    def __call__(self, images):
        pixels = tf.reshape(tf.cast(images, tf.float32), [tf.shape(images)[0], -1])
        return quality_output(pixels, pixels[:, :4])


def quality_output(features, logits):
    from eval.networks.inception import NetworkOutput

    return NetworkOutput(features, logits)


def _options(metrics=("fid", "kid", "is"), **changes):
    values = {"inception_score_splits": 3, "kernel_subsets": 5, "kernel_subset_size": 20, "seed": 0, **changes}
    return quality.Options(metrics=metrics, **values)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return [
        _Rows(
            features=rng.normal(mean, 1, size=(N, 6)).astype(np.float32),
            logits=rng.normal(size=(N, 4)).astype(np.float32),
        )
        for mean in (0.0, 0.5)
    ]


def test_quality_is_fid_kid_and_is(rows):
    real, drawn = rows
    measure = Quality(_Network(), _options())
    reference = measure.refer(real, LISTED)
    scores = {each.name: each for each in measure.scores(drawn, LISTED, reference)}
    assert list(scores) == ["FID/tfgan", "KID/tfgan", "IS/tfgan"]
    assert [each.better for each in scores.values()] == [LOWER, LOWER, HIGHER]
    moments = [(each.whole("features").mean(0), np.cov(each.whole("features").T)) for each in rows]
    expected = frechet_distance(*moments[0], *moments[1])
    assert scores["FID/tfgan"].value == pytest.approx(expected, rel=1e-6)
    assert scores["IS/tfgan"].value == inception_score(drawn.whole("logits"), 3).mean
    assert reference.scores[0].value == inception_score(real.whole("logits"), 3).mean
    assert scores["KID/tfgan"].value > 0
    themselves = {each.name: each.value for each in measure.scores(real, LISTED, reference)}
    assert themselves["FID/tfgan"] == pytest.approx(0, abs=1e-6)
    assert themselves["KID/tfgan"] < 0 < scores["KID/tfgan"].value  # Images that are on both sides make it too small.


def test_only_the_chosen_metrics_are_computed(rows):
    measure = Quality(_Network(), _options(metrics=["is"]))
    assert [each.name for each in measure.scores(rows[1], LISTED, measure.refer(rows[0], LISTED))] == ["IS/tfgan"]


def test_networks_of_scenes_measure_no_fid(rows):
    network = _Network()
    network.name, network.is_inception = "scenes", False
    measure = Quality(network, _options())
    scores = measure.scores(rows[1], LISTED, measure.refer(rows[0], LISTED))
    assert [each.name for each in scores] == ["FD/scenes", "KD/scenes", "IS/scenes"]


def test_the_path_of_the_weights_does_not_matter():
    measure = Quality(_Network(), _options())
    assert measure.weights == "/some/where"
    assert "/some/where" not in str(measure.identity)
    assert measure.identity["sha256"] == "abc"
    assert measure.identity != Quality(_Network(), _options(inception_score_splits=1)).identity
    # Subsets are drawn in each evaluation, so other subsets do not need new outputs for the real images.
    other = Quality(_Network(), _options(kernel_subsets=7))
    assert (other.identity == measure.identity, other.protocol == measure.protocol) == (True, False)


def test_kid_draws_from_a_part_of_many_images(rows, monkeypatch):
    monkeypatch.setattr(quality, "_POOL", 25)
    measure = Quality(_Network(), _options())
    pool = measure.refer(rows[0], LISTED).arrays["pool"]
    features = rows[0].whole("features")
    places = [int(np.flatnonzero((features == row).all(1))[0]) for row in pool]
    assert len(set(places)) == 25
    assert places == sorted(places)
    assert max(places) > 40  # From all parts.


def test_the_curve_ends_at_the_distance(rows):
    measure = Quality(_Network(), _options())
    reference = measure.refer(rows[0], LISTED)
    points = measure.curve(rows[1], reference, num_points=4)
    assert [point.num_images for point in points] == [15, 30, 45, 60]
    fid = measure.scores(rows[1], LISTED, reference)[0].value
    assert points[-1].distance == pytest.approx(fid, rel=1e-9)
    assert points[0].distance > points[-1].distance  # Few images make it too large.


def test_quality_looks_at_images():
    images = tf.cast(np.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3), tf.uint8)
    seen = Quality(_Network(), _options()).look(images)
    assert (seen["features"].shape, seen["logits"].shape) == ((2, 48), (2, 4))


class _Encoder:
    """Gives captions and images of the same number the same embedding."""

    name, identity = "numbers", {"weights": "x", "sha256": "def"}
    calls = 0

    def encode_captions(self, captions):
        type(self).calls += 1
        numbers = tf.strings.to_number(tf.strings.regex_replace(captions, "caption ", ""), tf.int32)
        return tf.one_hot(numbers, N)

    def encode_images(self, images):
        return tf.one_hot(tf.cast(images[:, 0, 0, 0], tf.int32), N)


def test_alignment_is_r_precision():
    measure = Alignment(_Encoder(), alignment.Options(mismatches=20, folds=3, seed=0))
    images = tf.cast(np.arange(N), tf.uint8)[:, None, None, None] * tf.ones([1, 1, 1, 3], tf.uint8)
    seen = _Rows(**{name: rows.numpy() for name, rows in measure.look(images).items()})
    reference = measure.refer(seen, LISTED)
    assert reference.scores == measure.scores(seen, LISTED, reference)
    (score,) = reference.scores
    assert score == ("R-precision/numbers", 100.0, 0.0, HIGHER, "%")
    swapped = _Rows(image_embeddings=np.roll(seen.whole("image_embeddings"), 2, axis=0))
    assert measure.scores(swapped, LISTED, reference)[0].value == 0.0


def test_captions_are_encoded_once_for_many_models():
    _Encoder.calls = 0
    measure = Alignment(_Encoder(), alignment.Options(mismatches=20, folds=3, seed=0))
    measure.prepare(LISTED)
    seen = _Rows(image_embeddings=np.eye(N, dtype=np.float32))
    for _ in range(3):
        measure.scores(seen, LISTED, Reference({}, []))
    assert _Encoder.calls == 1
    measure.prepare(CaptionList(LISTED.captions[:40], LISTED.image_ids[:40]))
    assert _Encoder.calls == 2


def test_too_few_captions_are_refused_before_any_work():
    measure = Alignment(_Encoder(), alignment.Options(mismatches=99, folds=3, seed=0))
    with pytest.raises(ValueError, match="58") as error:
        measure.prepare(LISTED)
    assert "\n" not in str(error.value)


class _Detector:
    name, identity = "scenes", {"weights": "y"}
    class_names = tuple(reversed([each.name for each in SCENE_CLASSES]))  # Another order than that of the words.

    def __call__(self, images):
        """One object in each image: its class is the value of the first pixel, its score that of the second."""
        pixels = tf.cast(images[:, 0, :2, 0], tf.float32)  # [batch, 2]
        boxes = tf.zeros([tf.shape(images)[0], 1, 4])
        return Detections(boxes, tf.cast(pixels[:, :1], tf.int32), pixels[:, 1:] / 255)


def test_objects_are_soa():
    wanted = functools.partial(classes_named, classes=SCENE_CLASSES)
    measure = Objects(_Detector(), SCENE_CLASSES, wanted, threshold=0.5, protocol="by words", label=" approx.")
    captions = ["a red ball", "a ball and a box", "a star", "the sea"]
    listed = CaptionList(captions, list("abcd"))
    place = {name: number for number, name in enumerate(_Detector.class_names)}
    shown = [("ball", 255), ("box", 200), ("star", 100), ("moon", 255)]  # The star is not sure enough.
    images = np.zeros((4, 1, 2, 3), np.uint8)
    for image, (name, surety) in zip(images, shown):
        image[0, :, 0] = place[name], surety
    seen = _Rows(**{name: rows.numpy() for name, rows in measure.look(tf.constant(images)).items()})
    reference = measure.refer(seen, listed)
    by_name = {each.name: each.value for each in reference.scores}
    # ball: 1 of 2, box: 1 of 1, star: 0 of 1.
    assert by_name == {
        "SOA-C approx./scenes": pytest.approx(50.0),
        "SOA-I approx./scenes": pytest.approx(50.0),
    }
    details = measure.details(seen, listed, reference)["SOA"]
    assert details["classes"]["ball"] == {"found": 1, "total": 2}
    assert "moon" in details["classes without pictures"]


def test_a_metric_that_no_measure_computes_is_refused():
    config = preset("scenes").with_fields({"evaluation.metrics": "shift"})
    with pytest.raises(ValueError, match=r"no measure computes shift: see METRICS in eval/measures/quality\.py"):
        build_measures(config, "data")
