"""The scores of the word loss: how well a sentence's words match an image's regions (paper section 4.1)."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

from xmcgan.models.attention import EPSILON, MASKED
from xmcgan.models.recomputation import recompute

# All sentences are scored at once if their attention maps take at most _LITTLE_MEMORY bytes. Otherwise, at most
# _WORDS_AT_ONCE words are scored at a time; their maps take a quarter of the memory of the region features (768 wide).
_LITTLE_MEMORY = 32 * 1024**2
_WORDS_AT_ONCE = 192


def word_region_scores(
    regions: tf.Tensor,
    words: tf.Tensor,
    lengths: tf.Tensor,
    *,
    rho_1: float,
    rho_2: float,
    normalize_context: bool = False,
    chunk: int = 0,
    trim: bool = False,
) -> tf.Tensor:
    """Scores how well the words of every sentence match every image: S_word(x, s) * tau of section 4.1.

    If the sentences are scored in chunks, memory does not grow with their number: activations are recomputed in the
    backward pass, and the words are constants.

    Args:
      regions: [images, regions, dim].
      words: [sentences, words, dim].
      lengths: [sentences], the number of real words.
      rho_1: sharpness of each word's attention over regions.
      rho_2: weight of the best aligned word.
      normalize_context: aligned features are sums of unit-length region features instead of the raw ones.
      chunk: the largest number of sentences scored at once; 0: all if that takes little memory, otherwise a few hundred
        words.
      trim: whether to leave out the padding that all sentences of a chunk have; shapes are then dynamic, which XLA does
        not support.

    Returns:
      Scores in (-1, 1 + log(words) / rho_2], [images, sentences].
    """
    unit_words = tf.math.l2_normalize(words, axis=-1, epsilon=EPSILON)
    if normalize_context:
        regions = tf.math.l2_normalize(regions, axis=-1, epsilon=EPSILON)
    if regions.shape[1] < words.shape[2]:
        gram = _gram(regions)
        align: Callable[..., tf.Tensor] = _align_by_gram
        images = {"regions": regions, "inverse_norms": _inverse_root(tf.linalg.diag_part(gram)), "gram": gram}
    else:
        align = _align
        images = {"regions": regions, "inverse_norms": _inverse_root(tf.reduce_sum(tf.square(regions), axis=-1))}

    def scores(unit_words: tf.Tensor, lengths: tf.Tensor, **images: tf.Tensor) -> tf.Tensor:
        """Returns the scores of some of the sentences, [sentences, images]."""
        words_each = tf.reduce_max(lengths) if trim else unit_words.shape[1]
        flat_words = tf.reshape(unit_words[:, :words_each], [-1, unit_words.shape[2]])  # k: sentences * words.
        alignment = align(flat_words, rho_1=rho_1, **images)  # cos(w, c), [images, k]
        alignment = tf.reshape(alignment, [-1, tf.shape(lengths)[0], words_each])
        mask = tf.sequence_mask(lengths, words_each)[None]  # [1, sentences, words]
        score = tf.reduce_logsumexp(tf.where(mask, rho_2 * alignment, MASKED), axis=-1) / rho_2
        return tf.ensure_shape(tf.transpose(score), [lengths.shape[0], regions.shape[0]])

    chunks = _num_chunks(words.shape[0], words.shape[1], regions.shape[0] or 0, regions.shape[1], chunk)
    if chunks == 1:
        return tf.transpose(scores(unit_words, lengths, **images))

    def scores_of_chunk(sentences: tf.Tensor, **images: tf.Tensor) -> tf.Tensor:
        return scores(tf.gather(unit_words, sentences), tf.gather(lengths, sentences), **images)

    # Sentences of similar lengths share a chunk, so that trimming leaves little padding.
    order = tf.argsort(lengths) if trim else tf.range(words.shape[0])
    ordered_scores = recompute(scores_of_chunk, parts=chunks)(order, **images)  # [sentences, images]
    return tf.transpose(tf.gather(ordered_scores, tf.argsort(order)) if trim else ordered_scores)


def _inverse_root(squares: tf.Tensor) -> tf.Tensor:
    return tf.math.rsqrt(tf.maximum(squares, EPSILON))


def _gram(regions: tf.Tensor) -> tf.Tensor:
    """Returns R R^T of every image: [images, regions, dim] -> [images, regions, regions]."""

    @tf.custom_gradient
    def gram(regions: tf.Tensor):
        def gradient(upstream: tf.Tensor) -> tf.Tensor:  # One product instead of two.
            return tf.matmul(upstream + tf.linalg.matrix_transpose(upstream), regions)

        return tf.matmul(regions, regions, transpose_b=True), gradient

    return gram(regions)


def _align(words: tf.Tensor, *, rho_1: float, regions: tf.Tensor, inverse_norms: tf.Tensor) -> tf.Tensor:
    """Returns the cosine of every word with its aligned feature in every image.

    Args:
      words: unit-length embeddings, [k, dim].
      rho_1: sharpness of each word's attention over regions.
      regions: [images, regions, dim].
      inverse_norms: 1 / |r_j| of the regions, [images, regions].

    Returns:
      [images, k].
    """
    products = tf.matmul(words[None], regions, transpose_b=True)  # w . r_j, [images, k, regions]
    attention = tf.nn.softmax(rho_1 * products * inverse_norms[:, None, :])
    aligned = tf.matmul(attention, regions)  # c, [images, k, dim]
    squared_norm = tf.reduce_sum(tf.square(aligned), axis=-1)
    return tf.reduce_sum(aligned * words, axis=-1) * tf.math.rsqrt(tf.maximum(squared_norm, EPSILON))


def _align_by_gram(
    words: tf.Tensor, *, rho_1: float, regions: tf.Tensor, inverse_norms: tf.Tensor, gram: tf.Tensor
) -> tf.Tensor:
    """Computes `_align` at lower cost where there are fewer regions than dimensions.

    The aligned feature c is not formed. Its dot product w . c = sum_j alpha_j (w . r_j) and its squared norm
    |c|^2 = alpha^T (R R^T) alpha cost `regions` instead of `dim` operations per pair, and there is no tensor
    [images, sentences, words, dim]. The custom gradient reads the maps of products and attention a third as often.

    Args:
      words: see `_align`, as for the next three.
      rho_1: sharpness.
      regions: [images, regions, dim].
      inverse_norms: [images, regions].
      gram: R R^T of every image, [images, regions, regions].

    Returns:
      [images, k].
    """

    @tf.custom_gradient
    def align(words: tf.Tensor, regions: tf.Tensor, inverse_norms: tf.Tensor, gram: tf.Tensor):
        products = tf.matmul(words[None], regions, transpose_b=True)  # w . r_j, [images, k, regions]
        sharpness = rho_1 * inverse_norms[:, None, :]
        attention = tf.nn.softmax(products * sharpness)  # alpha
        mixed = tf.matmul(attention, gram)  # alpha^T R R^T
        dot = tf.einsum("ikr,ikr->ik", attention, products)  # w . c
        squared_norm = tf.einsum("ikr,ikr->ik", attention, mixed)  # |c|^2
        inverse = tf.math.rsqrt(tf.maximum(squared_norm, EPSILON))

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            d_dot = (upstream * inverse)[..., None]  # [images, k, 1]
            d_squared_norm = tf.where(squared_norm > EPSILON, -0.5 * upstream * dot * inverse**3, 0.0)[..., None]
            d_attention = d_dot * products + 2.0 * d_squared_norm * mixed
            mean = d_dot * dot[..., None] + 2.0 * d_squared_norm * squared_norm[..., None]  # alpha . d_attention
            d_logits = attention * (d_attention - mean)  # [images, k, regions]
            d_products = d_logits * sharpness + d_dot * attention
            return (
                tf.tensordot(d_products, regions, [[0, 2], [0, 1]]),
                tf.matmul(d_products, words[None], transpose_a=True),
                rho_1 * tf.einsum("ikr,ikr->ir", d_logits, products),
                tf.matmul(attention, d_squared_norm * attention, transpose_a=True),
            )

        return dot * inverse, gradient

    return align(words, regions, inverse_norms, gram)


def _num_chunks(sentences: int | None, words: int, images: int, regions: int, chunk: int) -> int:
    """Returns the number of equal chunks of the sentences; 1 if the sizes are not static."""
    if not sentences or not images:
        return 1
    if not chunk and 4 * images * sentences * words * regions <= _LITTLE_MEMORY:
        return 1
    most = chunk or max(1, _WORDS_AT_ONCE // words)
    return next(parts for parts in range(1, sentences + 1) if sentences % parts == 0 and sentences // parts <= most)
