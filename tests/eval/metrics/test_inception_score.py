"""The Inception Score against a sum by hand and TensorFlow GAN."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eval.metrics import inception_score


def _logits(count: int, classes: int, *, seed: int = 0) -> np.ndarray:
    return (2 * np.random.default_rng(seed).normal(size=(count, classes))).astype(np.float32)


def _by_hand(logits: np.ndarray) -> float:
    probabilities = []
    for row in logits.tolist():
        total = sum(math.exp(logit) for logit in row)
        probabilities.append([math.exp(logit) / total for logit in row])
    marginal = [sum(column) / len(column) for column in zip(*probabilities)]
    divergences = [sum(p * math.log(p / q) for p, q in zip(row, marginal)) for row in probabilities]
    return math.exp(sum(divergences) / len(divergences))


def test_against_a_sum_by_hand():
    logits = _logits(30, 5)
    scores = [_by_hand(logits[:10]), _by_hand(logits[10:20]), _by_hand(logits[20:])]
    estimate = inception_score.inception_score(logits, 3)
    np.testing.assert_allclose(estimate.mean, sum(scores) / 3, rtol=1e-12)
    np.testing.assert_allclose(estimate.deviation, np.std(scores), rtol=1e-9)


def test_one_split_has_no_deviation():
    logits = _logits(30, 5)
    estimate = inception_score.inception_score(logits, 1)
    np.testing.assert_allclose(estimate.mean, _by_hand(logits), rtol=1e-12)
    assert estimate.deviation is None


def test_against_tensorflow_gan(tfgan):
    logits = _logits(5000, 20)  # More rows than are summed together.
    expected = float(tfgan.eval.classifier_score_from_logits(logits.astype(np.float64)))
    np.testing.assert_allclose(inception_score.inception_score(logits, 1).mean, expected, rtol=1e-12)


def test_no_image_is_left_out():
    logits = _logits(11, 4)
    estimate = inception_score.inception_score(logits, 3)
    scores = [_by_hand(logits[:4]), _by_hand(logits[4:8]), _by_hand(logits[8:])]
    np.testing.assert_allclose(estimate.mean, np.mean(scores), rtol=1e-12)


def test_the_smallest_and_the_largest_score():
    alike = np.repeat(_logits(1, 8), 40, axis=0)
    np.testing.assert_allclose(inception_score.inception_score(alike, 2), [1, 0], atol=1e-12)
    # Confident predictions, equally many of each class. Probabilities that underflow must not matter.
    certain = 2000 * np.tile(np.eye(8), (5, 1))
    np.testing.assert_allclose(inception_score.inception_score(certain, 5), [8, 0], atol=1e-12)
    # Classes that are never predicted do not count.
    np.testing.assert_allclose(inception_score.inception_score(certain[:, :][[0, 1, 2] * 4], 2).mean, 3, rtol=1e-12)


def test_a_shift_of_all_logits_changes_nothing():
    logits = _logits(20, 6).astype(np.float64)
    shifted = inception_score.inception_score(logits + np.linspace(-900, 900, 20)[:, np.newaxis], 2)
    np.testing.assert_allclose(shifted, inception_score.inception_score(logits, 2), rtol=1e-10)


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="11 splits of 10 images: there must be at least 1 image in each"):
        inception_score.inception_score(_logits(10, 4), 11)
    with pytest.raises(ValueError, match="0 splits of 10 images"):
        inception_score.inception_score(_logits(10, 4), 0)
    with pytest.raises(ValueError, match="1 of 2 logits are not finite"):
        inception_score.inception_score(np.array([[0.0, np.inf], [0.0, 1.0]]), 1)
