"""Measures the time of the metrics after the forward passes: moments, FID, KID, IS and R-precision.

  python -m experiments.benchmarks.frechet
  python -m experiments.benchmarks.frechet --dim=512 --num_images=5000

Features, logits and embeddings are random float32 numbers of the true sizes. Each part is measured once, except the
Fréchet distance, which is the median of three measurements. The last line is JSON. Keep the machine otherwise idle.
"""

from __future__ import annotations

import json
import os
import statistics
import time
import typing

import numpy as np
from absl import flags
from etils import epy

from xmcgan import command_line

with epy.lazy_imports():
    from eval.metrics import frechet, inception_score, kernel_distance, moments, r_precision

_DIM = flags.DEFINE_integer("dim", 2048, "Width of the features.", lower_bound=2)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 30_000, "Images on each side.", lower_bound=20)

_BATCH_SIZE = 256
_NUM_CLASSES = 1000  # Classes of the Inception Score.
_EMBEDDING_DIM = 512  # Width of the dual encoder's embeddings.
_KERNEL_SUBSETS, _KERNEL_SUBSET_SIZE = 100, 1000
_MISMATCHES, _PARTS = 99, 10  # Mismatched captions of R-precision; splits of IS and folds of R-precision.


def main(argv: list[str]) -> None:
    """Times each part."""
    del argv
    dim, num_images = _DIM.value, _NUM_IMAGES.value
    generator = np.random.default_rng(0)
    results: dict[str, typing.Any] = {"dim": dim, "num_images": num_images, "cores": os.cpu_count()}

    def random(width: int) -> np.ndarray:
        return generator.standard_normal((num_images, width), np.float32)

    def measure(name: str, work: typing.Callable[[], typing.Any], rounds: int = 1) -> typing.Any:
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            result = work()
            seconds.append(time.perf_counter() - start)
        results[f"{name}_seconds"] = round(statistics.median(seconds), 3)
        print(f"{name.replace('_', ' '):<20} {results[f'{name}_seconds']:>8.2f} s", flush=True)
        return result

    def stream(features: np.ndarray) -> moments.Moments:
        streamed = moments.Moments(dim)
        for start in range(0, num_images, _BATCH_SIZE):
            streamed.update(features[start : start + _BATCH_SIZE])
        return streamed

    print(f"{num_images:,} images, {dim} features, {results['cores']} cores")
    features, others = random(dim), random(dim)
    first, second = measure("moments", lambda: stream(features)), stream(others)
    gaussians = (first.mean, first.covariance, second.mean, second.covariance)
    measure("frechet_distance", lambda: frechet.frechet_distance(*gaussians), rounds=3)
    subsets = {"num_subsets": _KERNEL_SUBSETS, "subset_size": min(_KERNEL_SUBSET_SIZE, num_images // 2), "seed": 0}
    measure("kernel_distance", lambda: kernel_distance.kernel_distance(features, others, **subsets))

    logits = random(_NUM_CLASSES)
    measure("inception_score", lambda: inception_score.inception_score(logits, _PARTS))
    captions = [f"caption {index}" for index in range(num_images)]
    num = min(_MISMATCHES, num_images - 1)
    mismatches = measure(
        "mismatches", lambda: r_precision.draw_mismatches(range(num_images), captions, num=num, seed=0)
    )
    images, texts = random(_EMBEDDING_DIM), random(_EMBEDDING_DIM)
    measure("r_precision", lambda: r_precision.r_precision(images, texts, mismatches, folds=_PARTS))
    print(json.dumps(results))


if __name__ == "__main__":
    command_line.run(main)
