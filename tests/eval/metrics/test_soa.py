"""SOA against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eval.metrics import soa

NAMES = ("person", "dog", "cat", "zebra")
# Images of one class each, as the official captions want them: 4 persons, 2 dogs, 1 cat, no zebra.
LABELS = np.array([0, 0, 0, 0, 1, 1, 2])
WANTED = np.eye(4, dtype=bool)[LABELS]
DETECTED = np.array(
    [
        [1, 0, 0, 0],
        [1, 1, 1, 1],  # Additional detections do not matter.
        [0, 1, 0, 0],  # A dog instead of the person.
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],  # Nothing.
        [0, 0, 0, 1],
    ],
    bool,
)


def test_scores_by_hand():
    scores = soa.semantic_object_accuracy(DETECTED, WANTED, NAMES)
    assert scores.per_class == [("person", 3, 4), ("dog", 1, 2), ("cat", 0, 1), ("zebra", 0, 0)]
    assert scores.soa_c == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)  # Without the zebra, which has no images.
    assert scores.soa_i == pytest.approx(4 / 7)
    assert scores.missing == ("zebra",)
    assert [one.accuracy for one in scores.per_class[:3]] == [0.75, 0.5, 0.0]
    assert math.isnan(scores.per_class[3].accuracy)


def test_classes_are_halved_by_their_number_of_images():
    scores = soa.semantic_object_accuracy(DETECTED, WANTED, NAMES)
    assert scores.bottom == 0.0  # The class with the fewest images, out of three.
    assert scores.top == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_top_40_and_bottom_40_of_80_classes():
    counts = np.random.default_rng(0).permutation(80) + 1
    wanted = np.eye(80, dtype=bool)[np.repeat(np.arange(80), counts)]
    often = counts > 40
    detected = wanted & often  # The common classes are always found, the rare ones never.
    scores = soa.semantic_object_accuracy(detected, wanted, [str(number) for number in range(80)])
    assert (scores.top, scores.bottom, scores.soa_c) == (1.0, 0.0, 0.5)
    assert scores.soa_i == pytest.approx(sum(range(41, 81)) / sum(range(1, 81)))


def test_an_image_counts_for_every_class_that_its_caption_names():
    wanted = np.array([[1, 1], [0, 0], [1, 0]], bool)  # The second caption names nothing.
    detected = np.array([[1, 0], [1, 1], [1, 1]], bool)
    scores = soa.semantic_object_accuracy(detected, wanted, ["dog", "frisbee"])
    assert scores.per_class == [("dog", 2, 2), ("frisbee", 0, 1)]
    assert (scores.soa_c, scores.soa_i) == (0.5, pytest.approx(2 / 3))


@pytest.mark.parametrize("detected, expected", [(WANTED, 1.0), (~WANTED, 0.0)])
def test_all_and_nothing(detected, expected):
    scores = soa.semantic_object_accuracy(detected, WANTED, NAMES)
    assert (scores.soa_c, scores.soa_i, scores.top, scores.bottom) == (expected,) * 4


def test_a_single_class_has_no_halves():
    scores = soa.semantic_object_accuracy(DETECTED[:4], WANTED[:4], NAMES)
    assert (scores.soa_c, scores.top, scores.bottom) == (0.75, None, None)


def test_no_class_named_at_all():
    with pytest.raises(ValueError, match="No caption names any of the 4 classes"):
        soa.semantic_object_accuracy(DETECTED, np.zeros_like(WANTED), NAMES)


@pytest.mark.parametrize(
    "detected, wanted, names",
    [
        (DETECTED[:3], WANTED, NAMES),
        (DETECTED, WANTED, NAMES[:3]),
        (DETECTED.astype(np.float32), WANTED, NAMES),  # Scores must be compared with a threshold first.
        (DETECTED, LABELS, NAMES),
    ],
)
def test_arrays_of_other_shapes_or_types_are_refused(detected, wanted, names):
    with pytest.raises(ValueError, match="two bool arrays"):
        soa.semantic_object_accuracy(detected, wanted, names)
