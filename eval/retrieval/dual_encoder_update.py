"""The training step of a dual encoder: images and captions learn to find each other within a batch.

The loss is InfoNCE in both directions, with a learned temperature, over the batch of all replicas. Pairs of the same
image, or with captions of the same words, are not negatives of each other: they are left out of the softmax.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Callable

import tensorflow as tf

from xmcgan import replicas
from xmcgan.losses.contrastive import ContrastiveLoss, cosine_scores, info_nce

_MASKED = -1000.0  # A score that the softmax ignores: at temperatures up to 1 its exponential is 0.


def matching_loss(
    images: tf.Tensor, captions: tf.Tensor, image_keys: tf.Tensor, caption_keys: tf.Tensor, temperature: tf.Tensor
) -> ContrastiveLoss:
    """Computes InfoNCE in both directions, with true negatives only.

    Image i and caption j of different pairs are left out of the softmax if images i and j, or captions i and j, are the
    same.

    Args:
      images: embeddings of images, [batch, dim].
      captions: embeddings of their captions, [batch, dim].
      image_keys: [batch], equal for the same image.
      caption_keys: [batch], equal for captions with the same words.
      temperature: scalar.

    Returns:
      See `info_nce`.
    """
    same = (image_keys[:, tf.newaxis] == image_keys) | (caption_keys[:, tf.newaxis] == caption_keys)  # [batch, batch]
    own = tf.eye(tf.shape(same)[0], dtype=tf.bool)
    scores = tf.where(same & ~own, _MASKED, cosine_scores(images, captions))  # [batch, batch]
    return info_nce(scores, temperature=temperature, both_directions=True)


def compiled_steps(
    strategy: tf.distribute.Strategy, state: tf.train.Checkpoint
) -> Callable[[Iterator, int], dict[str, float]]:
    """Compiles a function that runs many updates in one graph call.

    Args:
      strategy: its replicas share each batch.
      state: the variables `step`, `towers` and `optimizer`.

    Returns:
      A function that takes an iterator over distributed batches and a number of steps. It returns the means of 'loss'
      (in nats, both directions together), 'accuracy' (how often the match is the best of the batch) and 'temperature'.
    """
    towers, variables = state.towers, state.towers.trainable_variables

    @tf.autograph.experimental.do_not_convert  # Converting the layers would take most of the tracing.
    def replica_step(batch: Mapping[str, Any]) -> tf.Tensor:
        image_keys, caption_keys = (replicas.gather(batch[name]) for name in ("image_key", "caption_key"))
        with tf.GradientTape() as tape:
            images = replicas.gather(towers.embed_images(batch["image"], training=True))  # [batch, dim]
            captions = replicas.gather(towers.embed_tokens(batch["tokens"], training=True))  # [batch, dim]
            temperature = towers.temperature
            matching = matching_loss(images, captions, image_keys, caption_keys, temperature)
            # Every replica computes the loss of the whole batch, and the optimizer sums the replicas' gradients.
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
