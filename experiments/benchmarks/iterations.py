"""Whole training iterations on random data, to be timed: with a BERT of the published size in them, and without."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from typing import Callable

import numpy as np
import tensorflow as tf
import tqdm

from data_pipelines.scenes import bert_model
from experiments.benchmarks import random_bert
from experiments.footprint import random_image_encoder
from xmcgan.config import Config
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.training.loop import compiled_steps
from xmcgan.training.state import TrainState


class Iterations:
    """The iterations of an experiment, with random weights in its frozen networks.

    Attributes:
      batches_per_iteration: batches that one draws.
    """

    def __init__(self, config: Config, strategy: tf.distribute.Strategy, scratch: str):
        """Builds everything.

        Args:
          config: the experiment; its text encoder gives way to the BERT of the published size.
          strategy: the replicas.
          scratch: folder for random weights, no longer needed afterwards.
        """
        text = dataclasses.replace(config.text, dim=bert_model.BASE.width, precomputed=False)
        config = dataclasses.replace(config, text=text)
        stored = dataclasses.replace(config, text=dataclasses.replace(text, precomputed=True))
        random_bert.write(scratch)
        with strategy.scope():
            encoder = TextEncoder(
                os.path.join(scratch, "preprocessor"),
                os.path.join(scratch, "encoder"),
                config.data.text_length,
                text.sentence_pooling,
                text.dim,
            )
            image_encoder = random_image_encoder.build(config)
            state = TrainState(config)
        self.batches_per_iteration = config.training.batches_per_iteration
        tokens, features = (_endless(strategy, config, make) for make in (_tokens, _features))
        with_bert = compiled_steps(strategy, config, state, encoder, image_encoder)
        on_features = compiled_steps(strategy, stored, state, encoder, image_encoder)
        encode = _encoding(strategy, encoder, self.batches_per_iteration)
        self._runs = {
            "on_the_fly": lambda number: with_bert(tokens, number),
            "stored": lambda number: on_features(features, number),
            "bert": lambda number: encode(tokens, tf.constant(number)).numpy(),
        }

    def time(self, rounds: int, iterations: int) -> dict[str, list[float]]:
        """Times the iterations in turns.

        Args:
          rounds: turns of each kind.
          iterations: of a turn.

        Returns:
          Seconds an iteration, of every round: 'on_the_fly' and 'stored' of whole ones, 'bert' of BERT's part alone.
        """
        seconds = {name: [] for name in self._runs}
        with tqdm.tqdm(total=(rounds + 1) * len(self._runs), unit="turn", disable=None) as progress:
            for number in range(rounds + 1):
                for name, run in list(self._runs.items())[:: 1 if number % 2 else -1]:  # None is always the first.
                    start = time.perf_counter()
                    run(iterations if number else 1)
                    if number:  # The first turn builds the graph.
                        seconds[name].append((time.perf_counter() - start) / iterations)
                    progress.update()
        return seconds


def _endless(strategy: tf.distribute.Strategy, config: Config, make_text: Callable) -> Iterator:
    """The same random batch over and over on every replica, its text as `make_text` makes it."""
    rows = config.training.batch_size // strategy.num_replicas_in_sync
    random = np.random.default_rng(0)
    size = config.data.image_size
    batch = {"image": random.integers(0, 256, [rows, size, size, 3], np.uint8), **make_text(config, rows, random)}
    return iter(
        strategy.distribute_datasets_from_function(lambda _: tf.data.Dataset.from_tensors(batch).repeat().prefetch(1))
    )


def _tokens(config: Config, rows: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    shape = [rows, config.data.text_length]
    return {
        "input_word_ids": random.integers(0, random_bert.VOCABULARY, shape, np.int32),
        "input_mask": np.ones(shape, np.int32),
        "input_type_ids": np.zeros(shape, np.int32),
    }


def _features(config: Config, rows: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    words = random.normal(size=[rows, config.data.text_length, config.text.dim]).astype(np.float16)
    lengths = np.full([rows], config.data.text_length, np.int32)
    return {"sentence": words.mean(axis=1), "words": words, "lengths": lengths}


def _encoding(strategy: tf.distribute.Strategy, encoder: TextEncoder, batches_per_iteration: int) -> Callable:
    """BERT's part of some iterations in one call of a graph: (batches, iterations) -> a number that needs all of it."""

    def encode(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.reduce_sum(encoder.encode(batch).words)

    @tf.function(reduce_retracing=True)
    def run(batches: Iterator, iterations: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([])
        for _ in tf.range(iterations):
            for _ in range(batches_per_iteration):
                of_replicas = strategy.run(encode, args=(next(batches),))
                total += strategy.reduce(tf.distribute.ReduceOp.SUM, of_replicas, axis=None)
        return total

    return run
