"""Times training iterations and image generation on random data, relative to a matrix product.

Seconds differ between machines, and between hours on the same machine. Multiplied by the rate of a large matrix product
measured just before and after, they become the operations that the machine could have done in that time, a number that
can be compared between machines.
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
    """Measures the rate of the float32 product of two square matrices, in GFLOP/s, as the median of a few runs."""
    a, b = (tf.random.stateless_normal([size, size], [seed, 0]) for seed in (0, 1))
    # Returns one number, so that copying the result takes no time.
    product = tf.function(lambda a, b: tf.matmul(a, b)[0, 0])
    seconds = timed(lambda: product(a, b), _GEMM_ROUNDS)
    return 2e-9 * size**3 / statistics.median(seconds)


def timed(run: Callable[[], Any], rounds: int) -> list[float]:
    """Returns the seconds of each run, after an uncounted one; waits for the tensors that a run returns."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for tensor in tf.nest.flatten(run()):
            tensor.numpy()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def measure(run: Callable[[], Any], images: int, rounds: int, gemm_size: int) -> dict[str, Any]:
    """Measures time and memory of a function.

    Args:
      run: the function, which returns small tensors that depend on all of its work.
      images: images of one run.
      rounds: timed runs.
      gemm_size: rows of the matrices in the reference product.

    Returns:
      Seconds per image (the median, and each round), the rate of the matrix product (the mean of before and after),
      their product, and the peak memory of the process in MB.
    """
    before = gemm_gflops(gemm_size)
    seconds = [each / images for each in timed(run, rounds)]
    gflops = (before + gemm_gflops(gemm_size)) / 2
    median = statistics.median(seconds)
    return {
        "seconds_per_image": median,
        "gemm_gflops": gflops,
        "gemm_equivalent_gflop_per_image": median * gflops,
        "peak_rss_mb": peak_rss_mb(),
        "rounds_seconds_per_image": seconds,
        "cores": os.cpu_count(),
        "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
    }


def table(config: Config, what: str, measured: dict[str, Any]) -> str:
    """Formats the results of `measure`."""
    seconds = measured["rounds_seconds_per_image"]
    batch = config.training.batch_size
    return "\n".join(
        [
            f"{network_cases.name_of(config)}, batch {batch}, {config.training.precision}, {what}; "
            f"{measured['device']}, {measured['cores']} cores",
            f"time per image   {measured['seconds_per_image']:>10.4f} s   ({min(seconds):.4f} to {max(seconds):.4f} in "
            f"{len(seconds)} rounds)",
            f"matrix product   {measured['gemm_gflops']:>10.1f} GFLOP/s",
            f"that is          {measured['gemm_equivalent_gflop_per_image']:>10.1f} GFLOP of matrix product per image",
            f"peak memory      {measured['peak_rss_mb']:>10,.0f} MB",
        ]
    )


def peak_rss_mb() -> float:
    """Returns the peak resident memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def training_iteration(config: Config, state: TrainState | None = None) -> Callable[[], tf.Tensor]:
    """Compiles one iteration of the update rule and of the weight averages; returns a function that runs it.

    Args:
      config: the experiment; its image encoder is not used.
      state: the state to train; None makes a new one.
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
    """Compiles the generation of one batch by an untrained generator; returns a function that runs it."""
    generator = build_generator(config, config.training.precision)
    example = random_example(config, seed=0)

    @tf.function(jit_compile=config.training.xla or None)
    def draw(z: tf.Tensor, text: TextFeatures) -> tf.Tensor:
        # Returns one number that depends on every pixel, so that copying the images takes no time.
        return tf.reduce_sum(generator(z, text).image)

    return lambda: draw(example.z, example.text)


def random_example(config: Config, seed: int) -> Example:
    """Returns a random batch: images, z, and features of captions with as many words as the config allows."""
    batch, size = config.training.batch_size, config.data.image_size
    words = tf.random.stateless_normal([batch, config.data.text_length, config.text.dim], [seed, 0])
    text = TextFeatures(tf.reduce_mean(words, axis=1), words, tf.fill([batch], config.data.text_length))
    image = tf.random.stateless_uniform([batch, size, size, 3], [seed, 1])
    return Example(image, text, tf.random.stateless_normal([batch, config.generator.noise_dim], [seed, 2]))
