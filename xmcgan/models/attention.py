"""Soft attention between the words of a sentence and the regions of an image (paper sections 4.1 and 4.2).

Pure functions, shared by the generator (each region attends to words) and the word loss (each word attends to
regions). Padded words never take part.
"""

from __future__ import annotations

import tensorflow as tf

from xmcgan.models.recomputation import recompute

# Added under square roots and norms: a zero vector has cosine 0 with everything, and a finite gradient.
_EPSILON = 1e-12
_MAX_ATTENTION_BYTES = 256 * 1024**2
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
    chunk: int = 0,
) -> tf.Tensor:
    """How well every sentence's words find themselves in every image: S_word(x, s) * tau of section 4.1.

    Where not all sentences are scored at once, memory is bounded whatever their number: activations are computed again
    in the gradient, and the words are constants to it.

    Args:
      regions: [images, regions, dim].
      words: [sentences, words, dim].
      lengths: [sentences], the number of real words.
      rho_1: sharpness of each word's attention over regions.
      rho_2: weight of the best aligned word.
      normalize_context: aligned features are sums of the unit-length region features instead of the features.
      chunk: sentences at once, at the most; 0: as many as make attention maps of 256 MB.

    Returns:
      Scores in (-1, 1 + log(words) / rho_2], [images, sentences].
    """
    unit_words = tf.math.l2_normalize(words, axis=-1, epsilon=_EPSILON)
    unit_regions = tf.math.l2_normalize(regions, axis=-1, epsilon=_EPSILON)
    parts = unit_regions if normalize_context else regions  # What aligned features are sums of
    if regions.shape[1] < words.shape[2]:
        # The aligned feature c is not formed: w . c = sum_j alpha_j (w . r_j) and |c|^2 = alpha^T (R R^T) alpha cost
        # regions instead of dim for each pair, and no [images, sentences, words, dim] tensor exists.
        norms = tf.sqrt(tf.reduce_sum(tf.square(parts), axis=-1) + _EPSILON)  # [images, regions]
        gram = tf.matmul(parts, parts, transpose_b=True)  # [images, regions, regions]
        align, of_images = _align_by_gram, [unit_regions, norms, gram]
    else:
        align, of_images = _align, [unit_regions, parts]

    def scores(unit_words: tf.Tensor, lengths: tf.Tensor, *of_images: tf.Tensor) -> tf.Tensor:
        flat_words = tf.reshape(unit_words, [-1, unit_words.shape[2]])  # k counts sentences * words.
        alignment = align(flat_words, rho_1, *of_images)  # cos(w, c), [images, sentences * words]
        alignment = tf.reshape(alignment, [-1, tf.shape(lengths)[0], unit_words.shape[1]])
        mask = tf.sequence_mask(lengths, unit_words.shape[1])[None]  # [1, sentences, words]
        of_sentences = tf.reduce_logsumexp(tf.where(mask, rho_2 * alignment, _MASKED), axis=-1) / rho_2
        return tf.transpose(of_sentences)  # [sentences, images]

    chunks = _num_chunks(words.shape[0], chunk, regions.shape[0], words.shape[1] * regions.shape[1])
    if chunks == 1:
        return tf.transpose(scores(unit_words, lengths, *of_images))
    constants = [tf.stop_gradient(unit_words), lengths]
    return tf.transpose(recompute(scores, [], of_images, constant_rows=constants, parts=chunks))


def _align_by_gram(
    words: tf.Tensor, rho_1: float, unit_regions: tf.Tensor, norms: tf.Tensor, gram: tf.Tensor
) -> tf.Tensor:
    """Cosine of every unit word [k, dim] with its aligned feature in every image, [images, k]; see the caller."""
    cosine = tf.matmul(words[None], unit_regions, transpose_b=True)  # [images, k, regions]
    attention = tf.nn.softmax(rho_1 * cosine)
    dot = tf.reduce_sum(attention * cosine * norms[:, None, :], axis=-1)  # [images, k]
    squared_norm = tf.reduce_sum(attention * tf.matmul(attention, gram), axis=-1)
    return dot * tf.math.rsqrt(tf.maximum(squared_norm, _EPSILON))


def _align(words: tf.Tensor, rho_1: float, unit_regions: tf.Tensor, parts: tf.Tensor) -> tf.Tensor:
    """The same by the aligned features themselves, where they are narrower than there are regions."""
    cosine = tf.matmul(words[None], unit_regions, transpose_b=True)  # [images, k, regions]
    aligned = tf.matmul(tf.nn.softmax(rho_1 * cosine), parts)  # c, [images, k, dim]
    squared_norm = tf.reduce_sum(tf.square(aligned), axis=-1)
    return tf.reduce_sum(aligned * words, axis=-1) * tf.math.rsqrt(tf.maximum(squared_norm, _EPSILON))


def _num_chunks(sentences: int | None, chunk: int, images: int | None, scores_per_pair: int) -> int:
    """Into how many equal parts the sentences are put; 1 where their number is not known before."""
    if not sentences or not images:
        return 1
    most = chunk or max(1, _MAX_ATTENTION_BYTES // (4 * images * scores_per_pair))
    return next(parts for parts in range(1, sentences + 1) if sentences % parts == 0 and sentences // parts <= most)
