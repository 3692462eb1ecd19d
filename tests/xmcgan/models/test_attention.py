import numpy as np
import pytest
import tensorflow as tf

from tests.support.finite_differences import check_gradient
from xmcgan.models.attention import attend_to_words

SENTENCES, WORDS, REGIONS, DIM = 4, 5, 9, 6
LENGTHS = [1, 5, 3, 2]
RHO_0 = 15.0


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _cos(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


@pytest.mark.parametrize("normalize", [False, True])
def test_attention_of_regions_to_words_is_the_papers(normalize):
    regions, words = _random(SENTENCES, REGIONS, DIM), _random(SENTENCES, WORDS, DIM, seed=1)
    context, attention = attend_to_words(
        tf.constant(regions), tf.constant(words), tf.constant(LENGTHS), rho_0=RHO_0, normalize_context=normalize
    )
    assert context.shape == (SENTENCES, REGIONS, DIM)
    assert attention.shape == (SENTENCES, REGIONS, WORDS)
    for n in range(SENTENCES):
        real = words[n, : LENGTHS[n]]
        for j in range(REGIONS):
            alpha = np.array([np.exp(RHO_0 * _cos(word, regions[n, j])) for word in real])
            alpha /= alpha.sum()
            np.testing.assert_allclose(attention[n, j, : LENGTHS[n]], alpha, rtol=1e-9)
            np.testing.assert_array_equal(attention[n, j, LENGTHS[n] :], 0)
            summands = [word / np.linalg.norm(word) if normalize else word for word in real]
            expected = sum(a * word for a, word in zip(alpha, summands))
            np.testing.assert_allclose(context[n, j], expected, rtol=1e-9, atol=1e-12)


def test_attention_to_words_does_not_see_padding():
    regions, words = _random(SENTENCES, REGIONS, DIM), _random(SENTENCES, WORDS, DIM, seed=1)
    padded = np.arange(WORDS)[None, :, None] >= np.array(LENGTHS)[:, None, None]
    before, after = (
        attend_to_words(tf.constant(regions), tf.constant(w), tf.constant(LENGTHS), rho_0=RHO_0)
        for w in (words, np.where(padded, 1e3, words))
    )
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])


def test_gradient_d_attention_to_words():
    regions, words = _random(SENTENCES, REGIONS, DIM), _random(SENTENCES, WORDS, DIM, seed=1)
    d_context, d_attention = _random(SENTENCES, REGIONS, DIM, seed=2), _random(SENTENCES, REGIONS, WORDS, seed=3)

    def weighted(regions, words):
        context, attention = attend_to_words(
            tf.convert_to_tensor(regions), tf.convert_to_tensor(words), tf.constant(LENGTHS), rho_0=RHO_0
        )
        return tf.reduce_sum(d_context * context) + tf.reduce_sum(d_attention * attention)

    check_gradient(weighted, regions, words)


@pytest.mark.parametrize("normalize", [False, True])
def test_weights_count_words_as_if_they_stood_there_as_often(normalize):
    regions, words = _random(1, REGIONS, DIM), _random(1, 3, DIM, seed=1)
    options = {"rho_0": RHO_0, "normalize_context": normalize}
    weights = tf.constant([[2.0, 0.0, 1.0]], tf.float64)
    context, attention = attend_to_words(tf.constant(regions), tf.constant(words), [3], weights=weights, **options)
    repeated = words[:, [0, 0, 2]]
    expected, in_repeated = attend_to_words(tf.constant(regions), tf.constant(repeated), [3], **options)
    np.testing.assert_allclose(context, expected, rtol=1e-12)
    np.testing.assert_allclose(attention[..., 0], in_repeated[..., 0] + in_repeated[..., 1], rtol=1e-12)
    np.testing.assert_array_equal(attention[..., 1], 0.0)


def test_attention_of_dead_regions_to_dead_words_has_finite_gradients():
    regions, words = tf.zeros([2, REGIONS, DIM]), tf.zeros([2, WORDS, DIM])
    with tf.GradientTape() as tape:
        tape.watch([regions, words])
        context, _ = attend_to_words(regions, words, tf.constant([2, 3]), rho_0=RHO_0)
    for gradient in tape.gradient(context, [regions, words]):
        assert np.all(np.isfinite(gradient))
