"""The share of an evaluation that is not the networks' forward passes.

  python -m experiments.benchmarks.evaluation --dataset=coco2014
  python -m experiments.benchmarks.evaluation --dataset=coco2014 --config.data.image_size=128 --num_pictures=128

An untrained generator of the config draws images, and Keras' Inception with random weights looks at them, as in
`python -m eval.evaluate --metrics=fid,kid,is`; what an image takes is measured on --num_pictures of them, and the
scores on the paper's 30,000 rows. BERT is left out (see `text_share`), which would make the share smaller. The last
line is JSON. Keep the machine quiet meanwhile.
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

_NUM_IMAGES = flags.DEFINE_integer("num_pictures", 128, "Images drawn and looked at.", lower_bound=2)
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Prints the parts, and the JSON line."""
    del argv
    config = command_line.get_config()
    config.evaluation.batch_size = min(config.evaluation.batch_size, _NUM_IMAGES.value)
    num_samples = config.evaluation.num_samples
    measured = measure_parts(config, _NUM_IMAGES.value, num_samples)
    print(f"{config.data.image_size} px, ch {config.generator.channels}, {os.cpu_count()} cores")
    rows = [
        ("forward passes", 1e3 * measured["forward_seconds_per_picture"], "ms an image"),
        ("everything else", 1e3 * measured["other_seconds_per_picture"], "ms an image"),
        ("the scores", measured["scoring_seconds"], f"s for {num_samples:,} images"),
        ("not forward", 100 * measured["share_not_forward"], f"% of an evaluation of {num_samples:,} images"),
    ]
    print(tabulate.tabulate(rows, tablefmt="plain", floatfmt=".2f"))
    print(json.dumps(measured))


def measure_parts(config: Config, num_images: int, num_samples: int) -> dict[str, Any]:
    """Times an evaluation by FID, KID and IS.

    Args:
      config: the experiment; the network's weights are random.
      num_images: drawn and looked at.
      num_samples: of the whole evaluation, whose scores are computed from the rows of those images, repeated.

    Returns:
      Seconds: of the forward passes and of the rest, for each image; of the scores; and the share of the whole
      evaluation that is not forward passes, 0 .. 1.
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
        # A run's first batch takes longer, since it is traced: taken out by the difference of two runs. The very first
        # run takes longer still, and counts for nothing.
        sizes = (options.batch_size, options.batch_size, options.batch_size + num_images)
        _, first, seen = (
            collection.collect(
                random_captions.RandomCaptions(config, size), [measured], f"{folder}/{run}", identity={}, **arguments
            )
            for run, size in enumerate(sizes)
        )
        whole = random_captions.Repeated(seen, num_samples)
        nothing = input_pipeline.CaptionList([], [])
        reference = measured.refer(whole, nothing)
        start = time.perf_counter()
        measured.scores(whole, nothing, reference)
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
