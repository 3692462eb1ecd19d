"""What the input benchmark measures, in a process of its own: speed beside bare decoding, and peak memory."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines import input_pipeline
from experiments.benchmarks.input_records import DATASET

_BATCH = 64
# Batches that are not timed at the start of each turn: those that were made ahead during the other's turn, and more.
_UNTIMED = 6
_GOAL = 0.85


def measure(
    data_dir: str,
    jpegs: Sequence[bytes],
    *,
    image_size: int,
    cache: str,
    drawn: int,
    rounds: int,
    seconds: float,
) -> dict[str, Any]:
    """Runs the pipeline for its memory, then in turns with bare decoding for their speed.

    Args:
      data_dir: holds records of `DATASET` made of the JPEG files.
      jpegs: the files; bare decoding takes them from memory.
      image_size: pixels a side.
      cache: of the pipeline.
      drawn: images to draw before the memory is read: the allocator takes some thousands to settle.
      rounds: turns of each.
      seconds: of a turn.

    Returns:
      'bare' and 'pipeline', images per second of every round; 'ratio', the median of the rounds' ratios;
      'memory_at_start' and 'peak_memory', in bytes.
    """
    tf.config.experimental.enable_op_determinism()  # As training does; tf.data then mistrusts much.
    memory_at_start = peak_memory()
    pipeline = iter(
        input_pipeline.training_batches(
            DATASET, data_dir, batch_size=_BATCH, image_size=image_size, random_flip=True, cache=cache
        )
    )
    for _ in range(-(-drawn // _BATCH)):
        next(pipeline)
    peak = peak_memory()
    bare = iter(_bare(jpegs, image_size))
    rates = {"bare": [], "pipeline": []}
    for _ in range(rounds):
        rates["bare"].append(_images_per_second(bare, seconds))
        rates["pipeline"].append(_images_per_second(pipeline, seconds))
    ratio = float(np.median(np.divide(rates["pipeline"], rates["bare"])))
    return {**rates, "ratio": ratio, "peak_memory": peak, "memory_at_start": memory_at_start}


def table(results: Sequence[dict]) -> str:
    """The numbers of all datasets, a line each, and the goal."""
    lines = ["images   bare decode + resize   input pipeline   ratio   peak memory (at the start)"]
    for result in results:
        bare, pipeline = np.median(result["bare"]), np.median(result["pipeline"])
        lines.append(
            f"{result['num_pictures']:>8,} {bare:>20,.0f}/s {pipeline:>14,.0f}/s {result['ratio']:>7.2f}"
            f" {result['peak_memory'] / 1e6:>10,.0f} MB ({result['memory_at_start'] / 1e6:,.0f} MB)"
        )
    lines.append(f"goal: a ratio of at least {_GOAL}, and the same memory for all sizes")
    return "\n".join(lines)


def peak_memory() -> int:
    """The most bytes of memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bare(jpegs: Sequence[bytes], image_size: int) -> tf.data.Dataset:
    """Nothing but decoding and resizing, on all cores; of the result one row is kept, so that nothing is copied."""

    def decode(jpeg: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(tf.io.decode_jpeg(jpeg, channels=3), (image_size, image_size))[0]

    decoded = tf.data.Dataset.from_tensor_slices(list(jpegs)).repeat().map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return decoded.batch(_BATCH)


def _images_per_second(batches: Iterator, seconds: float) -> float:
    for _ in range(_UNTIMED):
        next(batches)
    start, number = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        next(batches)
        number += _BATCH
    return number / (time.perf_counter() - start)
