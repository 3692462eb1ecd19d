import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from xmcgan.losses.contrastive import (
    cosine_scores,
    hinge_discriminator_loss,
    hinge_generator_loss,
    info_nce,
    perceptual_loss,
)

TEMPERATURE = 0.1
REAL_LOGITS = np.array([2.0, 0.5, -1.0, 1.0])
FAKE_LOGITS = np.array([-3.0, -0.5, 2.0, 0.0])


def _features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("batch", [2, 7])
def test_identical_features_are_guessed_at(batch):
    same = tf.ones([batch, 4])
    both = info_nce(cosine_scores(same, same), temperature=TEMPERATURE, both_directions=True)
    np.testing.assert_allclose(both.loss, 2 * np.log(batch), rtol=1e-6)
    np.testing.assert_allclose(both.entropy, np.log(batch), rtol=1e-6)
    assert both.accuracy == 0  # Ties count against.
    single = info_nce(cosine_scores(same, same), temperature=TEMPERATURE, both_directions=False)
    np.testing.assert_allclose(single.loss, np.log(batch), rtol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_orthogonal_matching_features(temperature):
    batch = 5
    queries = 3.0 * tf.eye(batch, 8)
    keys = 0.2 * tf.eye(batch, 8)
    result = info_nce(cosine_scores(queries, keys), temperature=temperature, both_directions=True)
    # The match scores 1, each of the others 0.
    total = np.exp(1 / temperature) + batch - 1
    match, other = np.exp(1 / temperature) / total, 1 / total
    np.testing.assert_allclose(result.loss, 2 * (np.log(total) - 1 / temperature), rtol=2e-3)
    entropy = -match * np.log(match) - (batch - 1) * other * np.log(other)
    np.testing.assert_allclose(result.entropy, entropy, rtol=2e-3)
    assert result.accuracy == 1


@pytest.mark.parametrize("both_directions", [True, False])
def test_a_batch_of_one_has_nothing_to_tell_apart(both_directions):
    result = info_nce(tf.constant([[0.3]]), temperature=TEMPERATURE, both_directions=both_directions)
    assert result.loss == 0
    assert result.entropy == 0


def test_the_single_direction_looks_for_keys():
    scores = _features(6, 6)
    result = info_nce(tf.constant(scores), temperature=TEMPERATURE, both_directions=False)
    log_p = log_softmax(scores / TEMPERATURE, axis=1)  # A query's scores are a row.
    np.testing.assert_allclose(result.loss, -np.mean(np.diag(log_p)), rtol=1e-12)
    np.testing.assert_allclose(result.entropy, -np.mean(np.sum(np.exp(log_p) * log_p, axis=1)), rtol=1e-12)
    np.testing.assert_allclose(result.accuracy, np.mean(scores.argmax(axis=1) == np.arange(6)))


def test_both_directions_add_up():
    scores = _features(6, 6, seed=1)
    result = info_nce(tf.constant(scores), temperature=TEMPERATURE, both_directions=True)
    parts = [log_softmax(scores / TEMPERATURE, axis=axis) for axis in (0, 1)]
    np.testing.assert_allclose(result.loss, -sum(np.mean(np.diag(p)) for p in parts), rtol=1e-12)
    entropies = [-np.sum(np.exp(p) * p) / 6 for p in parts]
    np.testing.assert_allclose(result.entropy, np.mean(entropies), rtol=1e-12)
    found = [np.mean(scores.argmax(axis=axis) == np.arange(6)) for axis in (0, 1)]
    np.testing.assert_allclose(result.accuracy, np.mean(found))


def test_a_tie_with_one_rival_counts_against():
    scores = tf.constant([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    result = info_nce(scores, temperature=TEMPERATURE, both_directions=False)
    np.testing.assert_allclose(result.accuracy, 2 / 3, rtol=1e-6)


def test_gradient_is_probability_minus_match():
    scores = tf.constant(_features(4, 4, seed=2))
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = info_nce(scores, temperature=0.5, both_directions=False).loss
    expected = (np.exp(log_softmax(scores / 0.5, axis=1)) - np.eye(4)) / (4 * 0.5)
    np.testing.assert_allclose(tape.gradient(loss, scores), expected, atol=1e-14)


def test_sharp_temperatures_stay_finite():
    scores = tf.constant([[-1.0, 1.0], [1.0, -1.0]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        result = info_nce(scores, temperature=1e-4, both_directions=True)
    np.testing.assert_allclose(result.loss, 2 * 2e4, rtol=1e-6)
    assert np.all(np.isfinite(tape.gradient(result.loss, scores)))
    assert np.isfinite(result.entropy)


def test_cosine_scores():
    queries, keys = _features(3, 5), _features(4, 5, seed=1)
    expected = np.array([[q @ k / np.linalg.norm(q) / np.linalg.norm(k) for k in keys] for q in queries])
    np.testing.assert_allclose(cosine_scores(tf.constant(queries), tf.constant(keys)), expected, rtol=1e-12)


def test_a_dead_feature_has_cosine_zero_and_a_finite_gradient():
    queries = tf.constant([[0.0, 0.0], [1.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(queries)
        scores = cosine_scores(queries, tf.constant([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_array_equal(scores[0], [0, 0])
    assert np.all(np.isfinite(tape.gradient(scores, queries)))


def test_hinge_discriminator_loss_is_the_papers():
    # Section 3.2: -E[min(0, -1 + D(x))] - E[min(0, -1 - D(G(z)))].
    expected = -np.mean(np.minimum(0, -1 + REAL_LOGITS)) - np.mean(np.minimum(0, -1 - FAKE_LOGITS))
    loss = hinge_discriminator_loss(tf.constant(REAL_LOGITS), tf.constant(FAKE_LOGITS))
    np.testing.assert_allclose(loss, expected)
    np.testing.assert_allclose(loss, (0 + 0.5 + 2 + 0) / 4 + (0 + 0.5 + 3 + 1) / 4)


def test_hinge_discriminator_loss_leaves_alone_what_is_beyond_the_margin():
    real, fake = tf.constant(REAL_LOGITS), tf.constant(FAKE_LOGITS)
    with tf.GradientTape() as tape:
        tape.watch([real, fake])
        loss = hinge_discriminator_loss(real, fake)
    d_real, d_fake = tape.gradient(loss, [real, fake])
    np.testing.assert_allclose(d_real, [0, -0.25, -0.25, 0])
    np.testing.assert_allclose(d_fake, [0, 0.25, 0.25, 0.25])


def test_hinge_generator_loss():
    np.testing.assert_allclose(hinge_generator_loss(tf.constant(FAKE_LOGITS)), -np.mean(FAKE_LOGITS))


def test_perceptual_loss_is_the_squared_distance_averaged_over_the_batch():
    real = tf.constant([[1.0, 2.0], [0.0, 0.0]])
    fake = tf.constant([[4.0, 6.0], [0.0, 1.0]])
    assert perceptual_loss(real, fake).numpy() == (25.0 + 1.0) / 2


def test_perceptual_loss_is_zero_for_equal_features():
    features = tf.random.stateless_normal([3, 5], seed=[0, 0])
    assert perceptual_loss(features, features).numpy() == 0.0


def test_gradient_of_the_perceptual_loss_agrees_with_finite_differences():
    rng = np.random.default_rng(0)
    real, fake = tf.constant(rng.normal(size=[3, 4])), tf.constant(rng.normal(size=[3, 4]))  # float64
    theoretical, numerical = tf.test.compute_gradient(lambda x: perceptual_loss(real, x), [fake])
    np.testing.assert_allclose(theoretical[0], numerical[0], rtol=1e-5, atol=1e-8)
