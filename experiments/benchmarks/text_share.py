"""Measures BERT's share of a training iteration, and the time of an iteration on stored text features.

  python -m experiments.benchmarks.text_share --dataset=coco2014
  python -m experiments.benchmarks.text_share --dataset=ln_coco --config.training.batch_size=4 --output=share.json
  python -m experiments.benchmarks.text_share --dataset=coco2014 --config.data.image_size=128 --iterations=1

Runs three things in turns, each after an untimed run: whole iterations of the config's experiment (discriminator steps,
generator step, weight averages) with a BERT of the published size (12 layers of width 768), the same iterations on
stored features, and BERT alone on the same captions. Images, captions and all frozen weights are random, which does not
affect the time. Every caption has as many tokens as the config allows. Reading and decoding of images is not included
(see `input_pipeline`). Keep the machine otherwise idle.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Callable

import numpy as np
import tqdm
from absl import flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line, config_json, path_flags
from xmcgan.config import Config
from xmcgan.files import replaced

with epy.lazy_imports():
    import tensorflow as tf

    from experiments.benchmarks import random_bert
    from experiments.footprint import random_image_encoder
    from xmcgan.models import bert_model, text_encoder
    from xmcgan.training import cluster, loop
    from xmcgan.training import state as state_lib

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; each times all three.", lower_bound=1)
_ITERATIONS = flags.DEFINE_integer("iterations", 3, "Iterations per round.", lower_bound=1)
_SCRATCH = path_flags.define_path("scratch", None, "Folder for the random weights, which are removed. [the system's]")
_OUTPUT = path_flags.define_path("output", None, "File for all numbers, as JSON.")
command_line.define_config(datasets)

_NAMES = {"on_the_fly": "iteration with BERT", "stored": "iteration on stored features", "bert": "BERT alone"}


def main(argv: list[str]) -> None:
    """Prints the times and shares."""
    del argv
    config = command_line.get_config()
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = cluster.create_strategy()
    cluster.check_divides(config.training.batch_size, strategy.num_replicas_in_sync)
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        measured = Iterations(config, strategy, scratch)
    seconds = measured.time(_ROUNDS.value, _ITERATIONS.value)
    device = f"{strategy.num_replicas_in_sync} GPU(s)" if tf.config.list_physical_devices("GPU") else "CPU"
    print(table(config, f"{device}, {os.cpu_count()} cores", measured.batches_per_iteration, seconds))
    if _OUTPUT.value:
        result = {
            "config": json.loads(config_json.to_json(config)),
            "device": device,
            "cores": os.cpu_count(),
            "seconds": seconds,
        }
        with replaced(_OUTPUT.value) as file:
            json.dump(result, file, indent=2)


def table(config: Config, device: str, batches: int, seconds: dict[str, list[float]]) -> str:
    """Formats the times and the shares.

    Args:
      config: the experiment.
      device: description of the device.
      batches: batches per iteration.
      seconds: seconds per iteration in each round, by what was timed (the keys of _NAMES).
    """
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    captions = config.training.batch_size * batches
    lines = [
        f"{config.dataset}: {config.data.image_size} px, ch {config.generator.channels} and "
        f"{config.discriminator.channels}, batch {config.training.batch_size}, {batches} batches per iteration "
        f"({config.training.update_rule}), {config.data.text_length} tokens; {device}"
    ]
    for name, text in _NAMES.items():
        values = seconds[name]
        spread = f"({min(values):.3f} to {max(values):.3f} in {len(values)} rounds)"
        lines.append(f"{text:<30}{medians[name]:>9.3f} s   {spread}")
    share = [bert / whole for bert, whole in zip(seconds["bert"], seconds["on_the_fly"])]
    rest = [stored / whole for stored, whole in zip(seconds["stored"], seconds["on_the_fly"])]
    lines += [
        f"BERT's {captions} captions ({captions / medians['bert']:,.0f} per second): {_spread(share)} of an iteration",
        f"an iteration on stored features takes {_spread(rest)} of one with BERT",
    ]
    return "\n".join(lines)


def _spread(shares: list[float]) -> str:
    return f"{statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})"


class Iterations:
    """The iterations of an experiment, with random weights in its frozen networks.

    Attributes:
      batches_per_iteration: batches that one iteration draws.
    """

    def __init__(self, config: Config, strategy: tf.distribute.Strategy, scratch: str):
        """Builds the networks and compiles the iterations.

        Args:
          config: the experiment; its text encoder is replaced by a BERT of the published size.
          strategy: the replicas.
          scratch: folder for random weights; can be removed afterwards.
        """
        config = config.with_fields({"text.dim": bert_model.BASE.width, "text.precomputed": False})
        stored = config.with_fields({"text.precomputed": True})
        random_bert.write(scratch)
        with strategy.scope():
            encoder = text_encoder.TextEncoder(
                os.path.join(scratch, "preprocessor"),
                os.path.join(scratch, "encoder"),
                config.data.text_length,
                config.text.sentence_pooling,
                config.text.dim,
            )
            image_encoder = random_image_encoder.build(config)
            state = state_lib.TrainState(config)
        self.batches_per_iteration = config.training.batches_per_iteration
        tokens, features = (_endless(strategy, config, make) for make in (_tokens, _features))
        with_bert = loop.compiled_steps(strategy, config, state, encoder, image_encoder)
        on_features = loop.compiled_steps(strategy, stored, state, encoder, image_encoder)
        encode = _encoding(strategy, encoder, self.batches_per_iteration)
        self._runs = {
            "on_the_fly": lambda number: with_bert(tokens, number),
            "stored": lambda number: on_features(features, number),
            "bert": lambda number: encode(tokens, tf.constant(number)).numpy(),
        }

    def time(self, rounds: int, iterations: int) -> dict[str, list[float]]:
        """Times the iterations in turns.

        Args:
          rounds: rounds, each of which times all three kinds.
          iterations: iterations per round.

        Returns:
          Seconds per iteration in each round: 'on_the_fly' and 'stored' for whole iterations, 'bert' for BERT alone.
        """
        seconds: dict[str, list[float]] = {name: [] for name in self._runs}
        with tqdm.tqdm(total=(rounds + 1) * len(self._runs), unit="turn", disable=None) as progress:
            for number in range(rounds + 1):
                for name, run in list(self._runs.items())[:: 1 if number % 2 else -1]:  # Alternate the order.
                    start = time.perf_counter()
                    run(iterations if number else 1)
                    if number:  # The first round builds the graphs.
                        seconds[name].append((time.perf_counter() - start) / iterations)
                    progress.update()
        return seconds


def _endless(strategy: tf.distribute.Strategy, config: Config, make_text: Callable) -> Iterator:
    """Repeats one random batch endlessly on every replica; `make_text` makes its text fields."""
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


def _encoding(
    strategy: tf.distribute.Strategy, encoder: text_encoder.TextEncoder, batches_per_iteration: int
) -> Callable:
    """Compiles BERT's part of several iterations: (batches, iterations) -> a number that depends on all features."""

    def encode(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.reduce_sum(encoder.encode(batch).words)

    @tf.function(reduce_retracing=True)
    def run(batches: Iterator, iterations: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([])
        for _ in tf.range(iterations):
            for _ in range(batches_per_iteration):
                encoded = strategy.run(encode, args=(next(batches),))
                total += strategy.reduce(tf.distribute.ReduceOp.SUM, encoded, axis=None)
        return total

    return run


if __name__ == "__main__":
    command_line.run(main)
