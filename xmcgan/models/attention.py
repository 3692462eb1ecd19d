"""Soft attention of an image's regions to the words of a sentence (paper section 4.2)."""

from __future__ import annotations

import tensorflow as tf

# Added under square roots and norms: a zero vector has cosine 0 with everything, and a finite gradient.
EPSILON = 1e-12
MASKED = -1e9  # A score whose exponential is 0 in float32 after any realistic shift.


def attend_to_words(
    regions: tf.Tensor,
    words: tf.Tensor,
    lengths: tf.Tensor,
    *,
    rho_0: float,
    normalize_context: bool = False,
    weights: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes the word-context vector of every region (section 4.2).

    Args:
      regions: h, [batch, regions, dim].
      words: e_w, [batch, words, dim].
      lengths: [batch], the number of real words; the rest is padding.
      rho_0: sharpness of the attention.
      normalize_context: whether the context is a sum of unit-length word embeddings instead of the raw ones.
      weights: how often each word counts, [batch, words] >= 0; used to mix two captions. None counts each word once.

    Returns:
      The context c, [batch, regions, dim], and the attention alpha over words, [batch, regions, words].
    """
    unit_words = tf.math.l2_normalize(words, axis=-1, epsilon=EPSILON)
    unit_regions = tf.math.l2_normalize(regions, axis=-1, epsilon=EPSILON)
    cosine = tf.matmul(unit_regions, unit_words, transpose_b=True)  # [batch, regions, words]
    mask = tf.sequence_mask(lengths, words.shape[1])[:, None, :]  # [batch, 1, words]
    scores = rho_0 * cosine
    if weights is not None:
        mask &= weights[:, None, :] > 0.0
        scores += tf.math.log(tf.where(mask, weights[:, None, :], 1.0))
    attention = tf.nn.softmax(tf.where(mask, scores, MASKED))
    return tf.matmul(attention, unit_words if normalize_context else words), attention
