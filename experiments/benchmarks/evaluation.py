"""Measures the share of an evaluation that is not spent in forward passes of the networks.

  python -m experiments.benchmarks.evaluation --dataset=coco2014
  python -m experiments.benchmarks.evaluation --dataset=coco2014 --config.data.image_size=128 --num_pictures=128

An untrained generator of the config draws images, and Keras' Inception with random weights computes their features, as
in `python -m eval.evaluate --metrics=fid,kid,is`. The time per image is measured on --num_pictures images, and the time
of the scores on the paper's 30,000 rows. BERT is left out (see `text_share`); with it, the share would be smaller. The
last line is JSON. Keep the machine otherwise idle.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from typing import Any

import tabulate
from absl import flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line
from xmcgan.config import Config

with epy.lazy_imports():
    import tensorflow as tf

    from data_pipelines import input_pipeline
    from eval import collection
    from eval.measures import quality
    from eval.networks import inception
    from experiments.benchmarks import random_captions

_NUM_IMAGES = flags.DEFINE_integer("num_pictures", 128, "Images to draw and evaluate.", lower_bound=2)
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Prints the table and the JSON line."""
    del argv
    config = command_line.get_config()
    config.evaluation.batch_size = min(config.evaluation.batch_size, _NUM_IMAGES.value)
    num_samples = config.evaluation.num_samples
    measured = measure_parts(config, _NUM_IMAGES.value, num_samples)
    print(f"{config.data.image_size} px, ch {config.generator.channels}, {os.cpu_count()} cores")
    rows = [
        ("forward passes", 1e3 * measured["forward_seconds_per_picture"], "ms per image"),
        ("everything else", 1e3 * measured["other_seconds_per_picture"], "ms per image"),
        ("the scores", measured["scoring_seconds"], f"s for {num_samples:,} images"),
        ("not forward passes", 100 * measured["share_not_forward"], f"% of an evaluation of {num_samples:,} images"),
    ]
    print(tabulate.tabulate(rows, tablefmt="plain", floatfmt=".2f"))
    print(json.dumps(measured))


def measure_parts(config: Config, num_images: int, num_samples: int) -> dict[str, Any]:
    """Times an evaluation by FID, KID and IS.

    Args:
      config: the experiment; all weights are random.
      num_images: images to draw and evaluate.
      num_samples: images of the whole evaluation; its scores are computed from the rows of those images, repeated.

    Returns:
      Seconds per image of the forward passes and of the rest, seconds of the scores, and the share of the whole
      evaluation that is not spent in forward passes, 0 .. 1.
    """
    options = config.evaluation
    with tempfile.TemporaryDirectory() as folder:
        weights = os.path.join(folder, "inception.h5")
        tf.keras.applications.InceptionV3(weights=None).save_weights(weights)
        network = inception.load_image_network("keras", weights)
        measured = quality.Quality(
            network,
            quality.Options(
                ("fid", "kid", "is"),
                options.inception_score_splits,
                options.kernel_subsets,
                options.kernel_subset_size,
                options.seed,
            ),
        )
        arguments = {"strategy": tf.distribute.get_strategy(), "batch_size": options.batch_size, "title": "images"}
        # The first batch of a run takes longer because the functions are traced. The difference of two runs removes
        # that time. The first run of the process takes even longer and is not counted.
        sizes = (options.batch_size, options.batch_size, options.batch_size + num_images)
        _, first, seen = (
            collection.collect(
                random_captions.RandomCaptions(config, size), [measured], f"{folder}/{run}", identity={}, **arguments
            )
            for run, size in enumerate(sizes)
        )
        whole = random_captions.Repeated(seen, num_samples)
        no_captions = input_pipeline.CaptionList([], [])
        reference = measured.refer(whole, no_captions)
        start = time.perf_counter()
        measured.scores(whole, no_captions, reference)
        scoring = time.perf_counter() - start
    forward = (seen.forward_seconds - first.forward_seconds) / num_images
    rest = (seen.seconds - first.seconds) / num_images - forward
    total = num_samples * (forward + rest) + scoring
    return {
        "forward_seconds_per_picture": forward,
        "other_seconds_per_picture": rest,
        "scoring_seconds": scoring,
        "share_not_forward": (num_samples * rest + scoring) / total,
    }


if __name__ == "__main__":
    command_line.run(main)
