"""One update of a dual encoder: images and captions find each other among the batch.

The loss is InfoNCE in both directions, with a learned temperature, over the whole batch of all replicas. Pairs of one
image, or of captions with the same words, are no negatives of each other: they are left out of the softmax.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Callable

import tensorflow as tf

from xmcgan import replicas
from xmcgan.losses.contrastive import ContrastiveLoss, cosine_scores, info_nce

_NOWHERE = -1000.0  # A score that no softmax sees: at temperatures up to 1 its exponential is 0.


def matching_loss(
    images: tf.Tensor, captions: tf.Tensor, image_keys: tf.Tensor, caption_keys: tf.Tensor, temperature: tf.Tensor
) -> ContrastiveLoss:
    """InfoNCE in both directions, among negatives that are some.

    Args:
      images: embeddings of images, [batch, dim].
      captions: embeddings of their captions, [batch, dim].
      image_keys: [batch], equal where images are the same.
      caption_keys: [batch], equal where captions say the same.
      temperature: scalar.

    Returns:
      See `info_nce`. Image i and caption j of another pair are left out of the softmax where images i and j, or
      captions i and j, are the same.
    """
    same = (image_keys[:, tf.newaxis] == image_keys) | (caption_keys[:, tf.newaxis] == caption_keys)  # [batch, batch]
    own = tf.eye(tf.shape(same)[0], dtype=tf.bool)
    scores = tf.where(same & ~own, _NOWHERE, cosine_scores(images, captions))  # [batch, batch]
    return info_nce(scores, temperature=temperature, both_directions=True)


def compiled_steps(
    strategy: tf.distribute.Strategy, state: tf.train.Checkpoint
) -> Callable[[Iterator, int], dict[str, float]]:
    """Many updates in one call of a graph.

    Args:
      strategy: the replicas.
      state: the variables `step`, `towers` and `optimizer`.

    Returns:
      A function of an iterator over distributed batches and a number of steps, which gives the means of 'loss' (in
      nats, both directions together), 'accuracy' (how often the match is best of the batch) and 'temperature'.
    """
    towers, variables = state.towers, state.towers.trainable_variables

    def replica_step(batch: Mapping[str, Any]) -> tf.Tensor:
        image_keys, caption_keys = (replicas.gather(batch[name]) for name in ("image_key", "caption_key"))
        with tf.GradientTape() as tape:
            images = replicas.gather(towers.embed_images(batch["image"], training=True))  # [batch, dim]
            captions = replicas.gather(towers.embed_tokens(batch["tokens"], training=True))  # [batch, dim]
            temperature = towers.temperature
            matching = matching_loss(images, captions, image_keys, caption_keys, temperature)
            # Every replica has the loss of the whole batch, and the optimizer sums their gradients.
            share = matching.loss / replicas.num_replicas()
        state.optimizer.apply_gradients(zip(tape.gradient(share, variables), variables))
        return tf.stack([matching.loss, matching.accuracy, temperature])

    @tf.function(reduce_retracing=True)
    def run(batches: Iterator, steps: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([3])
        for _ in tf.range(steps):
            metrics = strategy.run(replica_step, args=(next(batches),))
            total += strategy.reduce(tf.distribute.ReduceOp.MEAN, metrics, axis=None)
            state.step.assign_add(1)
        return total / tf.cast(steps, tf.float32)

    def run_steps(batches: Iterator, steps: int) -> dict[str, float]:
        with strategy.scope():
            means = run(batches, tf.constant(steps)).numpy()
        return dict(zip(("loss", "accuracy", "temperature"), means.tolist()))

    return run_steps
