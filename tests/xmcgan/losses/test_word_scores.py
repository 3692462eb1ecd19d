import numpy as np
import pytest
import tensorflow as tf

from tests.support.finite_differences import check_gradient
from xmcgan.losses import word_scores
from xmcgan.losses.word_scores import word_region_scores

IMAGES, SENTENCES, WORDS, DIM = 3, 4, 5, 6
FEW, MANY = 4, 9  # Regions: fewer and more than DIM, which have code of their own.
LENGTHS = [1, 5, 3, 2]
RHO_1, RHO_2 = 5.0, 4.0


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _cos(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def _score(words, regions, normalize):
    """S_word(x, s) * tau for the real words of one sentence and one image, as section 4.1 spells it."""
    total = 0.0
    for word in words:
        weights = np.array([np.exp(RHO_1 * _cos(word, region)) for region in regions])
        weights /= weights.sum()
        aligned = sum(
            weight * (region / np.linalg.norm(region) if normalize else region)
            for weight, region in zip(weights, regions)
        )
        total += np.exp(RHO_2 * _cos(word, aligned))
    return np.log(total ** (1 / RHO_2))


def _scores(regions, words, normalize=False, lengths=LENGTHS):
    return word_region_scores(
        tf.convert_to_tensor(regions),
        tf.convert_to_tensor(words),
        tf.constant(lengths),
        rho_1=RHO_1,
        rho_2=RHO_2,
        normalize_context=normalize,
    )


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("num_regions", [FEW, DIM, MANY])
def test_word_region_scores_are_the_papers(num_regions, normalize):
    regions, words = _random(IMAGES, num_regions, DIM), _random(SENTENCES, WORDS, DIM, seed=1)
    sentences = [words[s, :length] for s, length in enumerate(LENGTHS)]
    expected = [[_score(sentence, image, normalize) for sentence in sentences] for image in regions]
    np.testing.assert_allclose(_scores(regions, words, normalize), expected, rtol=1e-9)


@pytest.mark.parametrize("num_regions", [FEW, MANY])
def test_word_region_scores_do_not_see_padding(num_regions):
    regions, words = _random(IMAGES, num_regions, DIM), _random(SENTENCES, WORDS, DIM, seed=1)
    padded = np.arange(WORDS)[None, :, None] >= np.array(LENGTHS)[:, None, None]
    for filling in (0.0, 1e3):
        changed = np.where(padded, filling, words)
        np.testing.assert_array_equal(_scores(regions, words), _scores(regions, changed))


@pytest.mark.parametrize("num_regions", [FEW, MANY])
def test_the_best_word_rules_as_rho_2_grows(num_regions):
    regions, words = _random(1, num_regions, DIM), _random(1, WORDS, DIM, seed=1)
    scores = [
        word_region_scores(
            tf.constant(regions), tf.constant(word), tf.constant([word.shape[1]]), rho_1=RHO_1, rho_2=1e5
        ).numpy()[0, 0]
        for word in (words, *np.split(words, WORDS, axis=1))
    ]
    np.testing.assert_allclose(scores[0], max(scores[1:]), atol=1e-4)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("num_regions", [FEW, MANY])
def test_gradient_of_word_region_scores(num_regions, normalize):
    regions, words = _random(IMAGES, num_regions, DIM), _random(SENTENCES, WORDS, DIM, seed=1)
    weights = _random(IMAGES, SENTENCES, seed=2)
    check_gradient(lambda r, w: tf.reduce_sum(weights * _scores(r, w, normalize)), regions, words)


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 4])
@pytest.mark.parametrize("num_regions", [FEW, MANY])
def test_scores_in_chunks_of_sentences_are_the_scores(num_regions, chunk, trim):
    sentences = 4
    regions, words = tf.constant(_random(IMAGES, num_regions, DIM)), _random(sentences, WORDS, DIM, seed=1)
    weights = _random(IMAGES, sentences, seed=2)

    def scores(**options):
        with tf.GradientTape() as tape:
            tape.watch(regions)
            found = word_region_scores(
                regions, tf.constant(words), tf.constant([2, 1, 3, 2]), rho_1=RHO_1, rho_2=RHO_2, **options
            )
            total = tf.reduce_sum(weights * found)
        return found, tape.gradient(total, regions)

    for found, expected in zip(scores(chunk=chunk, trim=trim), scores()):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "sizes, chunk, expected",
    [
        ((16, 17, 16, 256), 0, 1),  # A small batch: all at once.
        ((64, 17, 64, 256), 0, 8),  # 8 sentences of 17 words.
        ((256, 64, 256, 256), 0, 128),  # 2 of 64.
        ((256, 64, 32, 256), 0, 128),  # On one of eight devices.
        ((64, 17, 64, 256), 20, 4),  # 16 divide 64, 20 do not.
        ((4, 500, 2000, 256), 0, 4),  # Never less than one.
        ((None, 17, 0, 256), 8, 1),
    ],
)
def test_number_of_chunks(sizes, chunk, expected):
    assert word_scores._num_chunks(*sizes, chunk) == expected


@pytest.mark.parametrize("num_regions", [FEW, MANY])
def test_dead_regions_and_words_have_finite_gradients(num_regions):
    regions, words = tf.zeros([2, num_regions, DIM]), tf.zeros([2, WORDS, DIM])
    with tf.GradientTape() as tape:
        tape.watch([regions, words])
        scores = _scores(regions, words, lengths=[2, 3])
    np.testing.assert_allclose(scores, np.log([[2, 3]] * 2) / RHO_2, rtol=1e-6)  # Each word's cosine is 0.
    for gradient in tape.gradient(scores, [regions, words]):
        assert np.all(np.isfinite(gradient))
