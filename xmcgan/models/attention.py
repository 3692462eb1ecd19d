"""Soft attention between the words of a sentence and the regions of an image (paper sections 4.1 and 4.2).

Pure functions, shared by the generator (each region attends to words) and the word loss (each word attends to
regions). Padded words never take part.
"""

from __future__ import annotations

import tensorflow as tf

# Added under square roots and norms: a zero vector has cosine 0 with everything, and a finite gradient.
_EPSILON = 1e-12
_MASKED = -1e9  # A score whose exponential is 0 in float32 after any realistic shift.


def attend_to_words(
    regions: tf.Tensor, words: tf.Tensor, lengths: tf.Tensor, *, rho_0: float, normalize_context: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """The word-context vector of every region (section 4.2).

    Args:
      regions: h, [batch, regions, dim].
      words: e_w, [batch, words, dim].
      lengths: [batch], the number of real words; the rest is padding.
      rho_0: sharpness of the attention.
      normalize_context: the context is a sum of the unit-length word embeddings instead of the embeddings.

    Returns:
      The context c, [batch, regions, dim], and the attention alpha over words, [batch, regions, words].
    """
    unit_words = tf.math.l2_normalize(words, axis=-1, epsilon=_EPSILON)
    unit_regions = tf.math.l2_normalize(regions, axis=-1, epsilon=_EPSILON)
    cosine = tf.matmul(unit_regions, unit_words, transpose_b=True)  # [batch, regions, words]
    mask = tf.sequence_mask(lengths, words.shape[1])[:, None, :]  # [batch, 1, words]
    attention = tf.nn.softmax(tf.where(mask, rho_0 * cosine, _MASKED))
    return tf.matmul(attention, unit_words if normalize_context else words), attention


def word_region_scores(
    regions: tf.Tensor,
    words: tf.Tensor,
    lengths: tf.Tensor,
    *,
    rho_1: float,
    rho_2: float,
    normalize_context: bool = False,
) -> tf.Tensor:
    """How well every sentence's words find themselves in every image: S_word(x, s) * tau of section 4.1.

    Args:
      regions: [images, regions, dim].
      words: [sentences, words, dim].
      lengths: [sentences], the number of real words.
      rho_1: sharpness of each word's attention over regions.
      rho_2: weight of the best aligned word.
      normalize_context: aligned features are sums of the unit-length region features instead of the features.

    Returns:
      Scores in (-1, 1 + log(words) / rho_2], [images, sentences].
    """
    sentences, num_words, dim = tf.shape(words)[0], words.shape[1], words.shape[2]
    unit_words = tf.reshape(tf.math.l2_normalize(words, axis=-1, epsilon=_EPSILON), [-1, dim])
    unit_regions = tf.math.l2_normalize(regions, axis=-1, epsilon=_EPSILON)
    parts = unit_regions if normalize_context else regions  # What aligned features are sums of

    # Products with the words of all sentences at once: k counts sentences * words.
    cosine = tf.matmul(unit_words[None], unit_regions, transpose_b=True)
    attention = tf.nn.softmax(rho_1 * cosine)  # [images, sentences * words, regions]
    if regions.shape[1] < dim:
        # The aligned feature c is not formed: w . c = sum_j alpha_j (w . r_j) and |c|^2 = alpha^T (R R^T) alpha cost
        # regions instead of dim for each pair, and no [images, sentences, words, dim] tensor exists.
        norms = tf.sqrt(tf.reduce_sum(tf.square(parts), axis=-1) + _EPSILON)  # [images, regions]
        dot = tf.reduce_sum(attention * cosine * norms[:, None, :], axis=-1)  # [images, sentences * words]
        gram = tf.matmul(parts, parts, transpose_b=True)  # [images, regions, regions]
        squared_norm = tf.reduce_sum(attention * tf.matmul(attention, gram), axis=-1)
    else:
        aligned = tf.matmul(attention, parts)  # c, [images, sentences * words, dim]
        dot = tf.reduce_sum(aligned * unit_words, axis=-1)
        squared_norm = tf.reduce_sum(tf.square(aligned), axis=-1)
    alignment = dot * tf.math.rsqrt(tf.maximum(squared_norm, _EPSILON))  # cos(w, c)

    alignment = tf.reshape(alignment, [-1, sentences, num_words])
    mask = tf.sequence_mask(lengths, num_words)[None]  # [1, sentences, words]
    return tf.reduce_logsumexp(tf.where(mask, rho_2 * alignment, _MASKED), axis=-1) / rho_2
