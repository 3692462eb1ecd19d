import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.scenes import bert_pretraining
from xmcgan.models import bert_model


def test_words_are_masked_as_berts_are():
    """Devlin et al. 2019, section 3.1: of the chosen words 80 % are masked, 10 % random, 10 % stay."""
    vocabulary = 1000  # So that a random word is seldom the word itself.
    word_ids = np.random.default_rng(0).integers(0, vocabulary, [4000, 12]).astype(np.int32)
    masked, chosen = bert_pretraining._mask_words(tf.constant(word_ids), vocabulary, tf.constant([3, 4]))
    masked, chosen = masked.numpy(), chosen.numpy() == 1
    words = word_ids > bert_model.MASK
    assert not chosen[~words].any()  # Padding, [CLS], [SEP]...
    np.testing.assert_array_equal(masked[~chosen], word_ids[~chosen])
    assert chosen[words].mean() == pytest.approx(bert_pretraining._MASK_RATE, abs=0.01)
    after, before = masked[chosen], word_ids[chosen]
    assert np.mean(after == bert_model.MASK) == pytest.approx(0.8, abs=0.02)
    assert np.mean(after == before) == pytest.approx(0.1, abs=0.02)
    others = after[(after != bert_model.MASK) & (after != before)]
    assert others.min() > bert_model.MASK and others.max() < vocabulary
    assert len(set(others)) > 0.3 * vocabulary


def test_captions_of_a_image_find_each_other():
    """Closed form: embeddings of four images at right angles, twice."""
    loss, retrieval, cosine = bert_pretraining._match(tf.constant(np.tile(np.eye(4, 6), [2, 1]) * 7.0, tf.float32))
    assert float(loss) == pytest.approx(np.log1p(3 * np.exp(-1 / bert_pretraining._TEMPERATURE)), rel=1e-3)
    assert float(retrieval) == 1.0
    assert float(cosine) == pytest.approx(0.0, abs=1e-7)
    # Of images in the wrong order none is found, and every pair is one of others.
    shuffled = np.concatenate([np.eye(4), np.roll(np.eye(4), 1, axis=0)])
    loss, retrieval, cosine = bert_pretraining._match(tf.constant(shuffled, tf.float32))
    assert float(retrieval) == 0.0
    assert float(cosine) == pytest.approx(4 / 12)
    assert float(loss) > 1 / bert_pretraining._TEMPERATURE
