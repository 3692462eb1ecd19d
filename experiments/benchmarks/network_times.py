"""Whole iterations and whole generations on random data, timed against a matrix product of the same minute.

Seconds differ between machines, and on one between hours. Times the rate of a large matrix product measured right
before and after, they become the operations that the machine could have done meanwhile: a figure that travels.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from typing import Any, Callable

import tensorflow as tf

from experiments.benchmarks import network_cases
from xmcgan.config import Config
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.state import TrainState, build_generator, update_average
from xmcgan.training.step import Example, TrainingStep

_GEMM_ROUNDS = 3


def gemm_gflops(size: int) -> float:
    """Rate of the float32 product of two square matrices, in GFLOP/s: the median of a few."""
    a, b = (tf.random.stateless_normal([size, size], [seed, 0]) for seed in (0, 1))
    # Only a corner goes back: the time is to be the product's.
    product = tf.function(lambda a, b: tf.matmul(a, b)[0, 0])
    seconds = timed(lambda: product(a, b), _GEMM_ROUNDS)
    return 2e-9 * size**3 / statistics.median(seconds)


def timed(run: Callable[[], Any], rounds: int) -> list[float]:
    """Seconds of each of some runs, after one that does not count; whatever a run returns is waited for."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for tensor in tf.nest.flatten(run()):
            tensor.numpy()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def measure(run: Callable[[], Any], images: int, rounds: int, gemm_size: int) -> dict[str, Any]:
    """Times a piece of work.

    Args:
      run: does it once, and returns small tensors that need all of it.
      images: images of one run.
      rounds: timed runs.
      gemm_size: rows of the matrices that it is compared with.

    Returns:
      Seconds an image (median, and of every round), the rate of the matrix product (mean of before and after), their
      product, and the most memory that the process ever held, in MB.
    """
    before = gemm_gflops(gemm_size)
    seconds = [each / images for each in timed(run, rounds)]
    gflops = (before + gemm_gflops(gemm_size)) / 2
    middle = statistics.median(seconds)
    return {
        "seconds_per_image": middle,
        "gemm_gflops": gflops,
        "gemm_equivalent_gflop_per_image": middle * gflops,
        "peak_rss_mb": peak_rss_mb(),
        "rounds_seconds_per_image": seconds,
        "cores": os.cpu_count(),
        "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
    }


def table(config: Config, what: str, measured: dict[str, Any]) -> str:
    """What was measured, for people."""
    seconds = measured["rounds_seconds_per_image"]
    batch = config.training.batch_size
    return "\n".join(
        [
            f"{network_cases.name_of(config)}, batch {batch}, {config.training.precision}, {what}; "
            f"{measured['device']}, {measured['cores']} cores",
            f"an image        {measured['seconds_per_image']:>10.4f} s   ({min(seconds):.4f} to {max(seconds):.4f} in "
            f"{len(seconds)} rounds)",
            f"matrix product   {measured['gemm_gflops']:>10.1f} GFLOP/s",
            f"an image is     {measured['gemm_equivalent_gflop_per_image']:>10.1f} GFLOP of it",
            f"peak memory      {measured['peak_rss_mb']:>10,.0f} MB",
        ]
    )


def peak_rss_mb() -> float:
    """The most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def training_iteration(config: Config, state: TrainState | None = None) -> Callable[[], tf.Tensor]:
    """One iteration of the update rule and of the averages, compiled: call it to run it.

    Args:
      config: the experiment; its image encoder has no part in it.
      state: what is trained; None makes one.
    """
    state = state or TrainState(config)
    update = TrainingStep(config, state)
    examples = [random_example(config, seed) for seed in range(config.training.batches_per_iteration)]

    @tf.function(jit_compile=config.training.xla or None)
    def iteration(examples: list[Example]) -> tf.Tensor:
        metrics = update(examples)
        update_average(state.ema_generator, state.generator, config.training.ema_decay)
        state.step.assign_add(1)
        return tf.stack(list(metrics.values()))

    return lambda: iteration(examples)


def generation(config: Config) -> Callable[[], tf.Tensor]:
    """Images of one batch, drawn by an untrained generator at inference, compiled: call it to run it."""
    generator = build_generator(config, config.training.precision)
    example = random_example(config, seed=0)

    @tf.function(jit_compile=config.training.xla or None)
    def draw(z: tf.Tensor, text: TextFeatures) -> tf.Tensor:
        # A number that needs every pixel: copying the images is no part of the time.
        return tf.reduce_sum(generator(z, text).image)

    return lambda: draw(example.z, example.text)


def random_example(config: Config, seed: int) -> Example:
    """A batch of noise: images, z and the features of captions that have as many words as the config allows."""
    batch, size = config.training.batch_size, config.data.image_size
    words = tf.random.stateless_normal([batch, config.data.text_length, config.text.dim], [seed, 0])
    text = TextFeatures(tf.reduce_mean(words, axis=1), words, tf.fill([batch], config.data.text_length))
    image = tf.random.stateless_uniform([batch, size, size, 3], [seed, 1])
    return Example(image, text, tf.random.stateless_normal([batch, config.generator.noise_dim], [seed, 2]))
