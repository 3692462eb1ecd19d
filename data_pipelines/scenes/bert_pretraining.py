"""Pre-training of the small BERT on captions.

It minimizes two losses over pairs of captions of one image, both with words masked:
  masked language modeling, as BERT does, which makes a word's embedding tell of its neighbors ('ball' of its 'red');
  a contrastive loss between the two sentences' embeddings. By masked language modeling alone the sentences of so
    small a language differ by their phrasing and not by what they show: 3 % of the captions find another one of their
    image first among 400, fewer than by the untrained weights (14 %). With this loss 74 % do.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from data_pipelines.scenes import bert_model

_BATCH_SIZE = 64  # Images, two captions each.
_LEARNING_RATE = 3e-3  # At the start; falls linearly to 0.
_MASK_RATE = 0.2  # Of the words.
_CONTRASTIVE_WEIGHT = 0.2  # More takes from the words what it gives to the sentences.
_TEMPERATURE = 0.1  # Of the contrastive loss.
_MAX_HELD_OUT = 256  # Images whose captions measure the pre-training.


class PretrainingHeads(tf.Module):
    """What pre-training needs on top of the encoder, thrown away afterwards."""

    def __init__(self, token_embedding: tf.Variable, seed: int):
        """`token_embedding`: the encoder's [vocabulary, 128], which the words' scores share as in BERT."""
        super().__init__(name="pretraining_heads")
        self._token_embedding = token_embedding
        self.transform = tf.keras.layers.Dense(bert_model.WIDTH, "gelu")
        self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.bias = tf.Variable(tf.zeros([token_embedding.shape[0]]), name="bias")
        self.norm(self.transform(tf.zeros([1, 1, bert_model.WIDTH])))
        bert_model.initialize(self.transform.trainable_variables, seed)

    def __call__(self, words: tf.Tensor) -> tf.Tensor:
        """[batch, words, 128] -> scores of the vocabulary [batch, words, vocabulary]."""
        return tf.matmul(self.norm(self.transform(words)), self._token_embedding, transpose_b=True) + self.bias


def pretrain(
    encoder: bert_model.Encoder,
    preprocessor: bert_model.Preprocessor,
    captions: Sequence[Sequence[str]],
    *,
    steps: int,
    seed: int,
) -> dict[str, float]:
    """Pre-trains the encoder in place on pairs of captions of one image.

    Args:
      encoder: the encoder.
      preprocessor: its preprocessor.
      captions: the captions of each image, one or more; of a lone one, two maskings make the pair.
      steps: updates, of _BATCH_SIZE images each.
      seed: of batches and masks.

    Returns:
      '<name>_before' and '<name>_after', on captions of images held out and masked as in training, for: 'loss' and
      'accuracy' of the masked words; 'contrastive_loss'; 'retrieval', how often a sentence embedding finds the other
      one of its image first among all of them; 'cosine', the mean cosine of embeddings of different images.
    """
    counts = np.array([len(group) for group in captions])
    word_ids = _pack(preprocessor, list(itertools.chain.from_iterable(captions)))  # [captions, words]
    held_out = min(_MAX_HELD_OUT, len(captions) // 4)
    rng = np.random.default_rng(seed)
    model = _Pretraining(encoder, PretrainingHeads(encoder.token_embedding.embeddings, seed), seed)
    schedule = tf.keras.optimizers.schedules.PolynomialDecay(_LEARNING_RATE, max(steps, 1), end_learning_rate=0.0)
    model.compile(tf.keras.optimizers.Adam(schedule))

    evaluation = tf.constant(word_ids[_pairs(np.arange(held_out), counts, rng)])  # [2 * held_out, words]
    report = {f"{name}_before": float(value) for name, value in model.measure(evaluation).items()}
    if steps:
        rows = [_pairs(rng.integers(held_out, len(captions), _BATCH_SIZE), counts, rng) for _ in range(steps)]
        batches = tf.data.Dataset.from_tensor_slices(np.stack(rows)).map(lambda batch: tf.gather(word_ids, batch))
        model.fit(batches, verbose=0, callbacks=[_log_progress(steps)])
    report.update({f"{name}_after": float(value) for name, value in model.measure(evaluation).items()})
    return report


class _Pretraining(tf.keras.Model):
    """The encoder and its heads, as `fit` trains them: losses of words and of sentences need the whole batch."""

    def __init__(self, encoder: bert_model.Encoder, heads: PretrainingHeads, seed: int):
        super().__init__()
        self._encoder, self._heads, self._seed = encoder, heads, seed
        self._trained = [*encoder.trainable_variables, *heads.trainable_variables]

    def train_step(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates the weights by [2 * images, words] captions; returns what `_pretraining_measures` does."""
        seed = tf.stack([self._seed, tf.cast(self.optimizer.iterations, tf.int32)])  # Each step masks other words.
        with tf.GradientTape() as tape:
            measures = _pretraining_measures(self._encoder, self._heads, batch, seed)
            total = measures["loss"] + _CONTRASTIVE_WEIGHT * measures["contrastive_loss"]
        self.optimizer.apply_gradients(zip(tape.gradient(total, self._trained), self._trained))
        return measures

    @tf.function
    def measure(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        """The same measures without an update, always with the same masks."""
        return _pretraining_measures(self._encoder, self._heads, batch, tf.constant([self._seed, -1]))


def _pairs(images: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws two captions of each image.

    Args:
      images: [images] numbers of images.
      counts: [all images] captions of each image.
      rng: chooses the captions.

    Returns:
      [2 * images] places among all captions, end to end: one caption of each image, then another one of each.
    """
    starts, counts = (np.cumsum(counts) - counts)[images], counts[images]  # [images] each
    first = rng.integers(counts)
    other = (first + rng.integers(1, np.maximum(counts, 2))) % counts
    return np.concatenate([starts + first, starts + other])


def _log_progress(steps: int) -> tf.keras.callbacks.Callback:
    """Tells ten times how far the training is."""
    log_every = max(1, steps // 10)

    def log(step: int, measures: Mapping[str, float]) -> None:
        if (step + 1) % log_every == 0:
            logging.info(
                "small BERT: step %d of %d, masked words %.2f (%.0f%% right), contrastive %.2f",
                step + 1, steps, measures["loss"], 100 * measures["accuracy"], measures["contrastive_loss"],
            )  # fmt: skip

    return tf.keras.callbacks.LambdaCallback(on_train_batch_end=log)


def _pretraining_measures(
    encoder: bert_model.Encoder, heads: PretrainingHeads, word_ids: tf.Tensor, seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Losses and accuracies of pre-training.

    Args:
      encoder: the encoder.
      heads: its heads.
      word_ids: [2 * images, words] int32: a caption of each image, then another of each.
      seed: [2] int32, of the masks.

    Returns:
      Scalars by name: 'loss', 'accuracy', 'contrastive_loss', 'retrieval', 'cosine'; see `pretrain`.
    """
    real = tf.not_equal(word_ids, bert_model.PAD)  # [2 * images, words]
    inputs, chosen = _mask_words(word_ids, heads.bias.shape[0], seed)
    outputs = encoder(
        {"input_word_ids": inputs, "input_mask": tf.cast(real, tf.int32), "input_type_ids": tf.zeros_like(word_ids)}
    )
    words = outputs["sequence_output"]  # [2 * images, words, 128]
    scores = heads(words)  # [2 * images, words, vocabulary]
    entropies = tf.nn.sparse_softmax_cross_entropy_with_logits(word_ids, scores)
    right = tf.cast(tf.equal(tf.argmax(scores, axis=-1, output_type=tf.int32), word_ids), tf.float32)

    weights = tf.cast(real, tf.float32)[:, :, tf.newaxis]
    means = tf.reduce_sum(words * weights, axis=1) / tf.reduce_sum(weights, axis=1)  # [2 * images, 128]
    mean_loss, retrieval, cosine = _match(means)
    pooled_loss, _, _ = _match(outputs["pooled_output"])  # No other task would train the pooler.
    return {
        "loss": tf.math.divide_no_nan(tf.reduce_sum(entropies * chosen), tf.reduce_sum(chosen)),
        "accuracy": tf.math.divide_no_nan(tf.reduce_sum(right * chosen), tf.reduce_sum(chosen)),
        "contrastive_loss": mean_loss + pooled_loss,
        "retrieval": retrieval,
        "cosine": cosine,
    }


def _mask_words(word_ids: tf.Tensor, vocabulary_size: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """BERT's masking: of the chosen words 80 % become [MASK], 10 % a random word, 10 % stay.

    Args:
      word_ids: [batch, words] int32.
      vocabulary_size: of the random words.
      seed: [2] int32.

    Returns:
      The masked [batch, words] int32, and which words were chosen: [batch, words] float32, 0 or 1.
    """
    shape = tf.shape(word_ids)
    seeds = tf.random.experimental.stateless_split(seed, 3)  # [3, 2]
    chosen = (word_ids > bert_model.MASK) & (tf.random.stateless_uniform(shape, seeds[0]) < _MASK_RATE)
    fate = tf.random.stateless_uniform(shape, seeds[1])
    random_words = tf.random.stateless_uniform(shape, seeds[2], bert_model.MASK + 1, vocabulary_size, tf.int32)
    masked = tf.where(fate < 0.8, bert_model.MASK, tf.where(fate < 0.9, random_words, word_ids))
    return tf.where(chosen, masked, word_ids), tf.cast(chosen, tf.float32)


def _match(sentences: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Contrastive loss, retrieval accuracy and mean cosine of others, of [2 * images, dim]; see `pretrain`."""
    first, second = tf.split(tf.nn.l2_normalize(sentences, axis=1), 2)  # [images, dim] each
    cosines = tf.matmul(first, second, transpose_b=True)  # [images, images]
    images = tf.range(tf.shape(cosines)[0])
    loss = 0.5 * tf.add_n(
        [
            tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(images, logits / _TEMPERATURE))
            for logits in (cosines, tf.transpose(cosines))
        ]
    )
    found = tf.equal(tf.argmax(cosines, axis=1, output_type=tf.int32), images)
    others = tf.cast(tf.size(cosines) - tf.size(images), tf.float32)
    mean_cosine = (tf.reduce_sum(cosines) - tf.linalg.trace(cosines)) / tf.maximum(others, 1.0)
    return loss, tf.reduce_mean(tf.cast(found, tf.float32)), mean_cosine


def _pack(preprocessor: bert_model.Preprocessor, captions: Sequence[str]) -> np.ndarray:
    """Token ids of all captions, padded to the longest: [captions, words] int32."""
    word_ids = preprocessor(tf.constant(captions))["input_word_ids"].numpy()
    return word_ids[:, : (word_ids != bert_model.PAD).sum(axis=1).max()]
