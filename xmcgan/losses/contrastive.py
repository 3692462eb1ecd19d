"""The losses of the paper: contrastive (sections 3.1 and 4.1), adversarial (3.2) and perceptual (6.2).

All contrastive losses, between images, sentences and words, apply the same function to a matrix of scores whose
diagonal holds the matching pairs; they differ only in the scores.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf


class ContrastiveLoss(NamedTuple):
    """A contrastive loss, and two measures of how well the matches are found."""

    loss: tf.Tensor  # Scalar, nats
    accuracy: tf.Tensor  # Scalar in [0, 1]: how often the match scores best
    entropy: tf.Tensor  # Scalar, nats: of the distribution over candidates, at most log(batch)


def cosine_scores(queries: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Returns the cosine of every query with every key: [queries, dim], [keys, dim] -> [queries, keys]."""
    queries = tf.math.l2_normalize(queries, axis=-1)
    keys = tf.math.l2_normalize(keys, axis=-1)
    return tf.matmul(queries, keys, transpose_b=True)


def info_nce(scores: tf.Tensor, *, temperature: float, both_directions: bool) -> ContrastiveLoss:
    """Computes the NT-Xent loss: -log of the softmax probability of the match, averaged over the batch.

    Args:
      scores: similarity of query i and key j, [batch, batch]; query i and key i match.
      temperature: tau; scores are divided by it.
      both_directions: adds the loss of finding each key's query to the loss of finding each query's key; accuracy and
        entropy are then means over both. Otherwise only queries look for their keys, as in the paper's equations.

    Returns:
      Loss, accuracy and entropy. Ties count against the accuracy, so that collapsed features score 0.
    """
    logits = scores / temperature
    rows = _one_direction(logits)
    if not both_directions:
        return rows
    columns = _one_direction(tf.transpose(logits))
    return ContrastiveLoss(
        rows.loss + columns.loss,
        (rows.accuracy + columns.accuracy) / 2.0,
        (rows.entropy + columns.entropy) / 2.0,
    )


def _one_direction(logits: tf.Tensor) -> ContrastiveLoss:
    log_probabilities = tf.nn.log_softmax(logits)  # [batch, batch]
    matches = tf.linalg.diag_part(log_probabilities)
    rivals = tf.linalg.set_diag(log_probabilities, tf.fill(tf.shape(matches), logits.dtype.min))
    entropy = -tf.reduce_sum(tf.exp(log_probabilities) * log_probabilities, axis=-1)
    return ContrastiveLoss(
        -tf.reduce_mean(matches),
        tf.reduce_mean(tf.cast(matches > tf.reduce_max(rivals, axis=-1), logits.dtype)),
        tf.reduce_mean(entropy),
    )


def hinge_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """Returns D's hinge loss, 0 once all real logits are above 1 and all fake ones below -1: [batch] -> scalar."""
    return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(tf.nn.relu(1.0 + fake_logits))


def hinge_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """Returns minus the mean of the fake logits: [batch] -> scalar."""
    return -tf.reduce_mean(fake_logits)


def perceptual_loss(real_features: tf.Tensor, fake_features: tf.Tensor) -> tf.Tensor:
    """Returns the squared l2 distance of real and generated images in the image encoder (section 6.2, Table 6).

    Args:
      real_features: the image encoder's features of the real images, [batch, dim].
      fake_features: those of the images generated from the same captions, [batch, dim].

    Returns:
      A scalar, at least 0: the mean over the batch.
    """
    squared_distances = tf.reduce_sum(tf.square(real_features - fake_features), axis=1)  # [batch]
    return tf.reduce_mean(squared_distances)
