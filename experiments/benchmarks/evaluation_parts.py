"""An evaluation at the paper's size with random weights, taken apart: forward passes and everything else."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines.input_pipeline import CaptionList
from eval.collection import Collection, collect
from eval.measures import quality
from eval.measures.measure import Seen
from eval.measures.quality import Quality
from eval.networks.inception import load_image_network
from eval.sources import Source
from xmcgan.config import Config
from xmcgan.images import to_uint8
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.noise import seeded_noise
from xmcgan.training.state import build_generator


class RandomCaptions(Source):
    """What an untrained generator draws of random word embeddings: as many operations as of real captions."""

    def __init__(self, config: Config, size: int):
        self.identity, self.size = {}, size
        self._config, self._generator = config, build_generator(config)

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        """See the base class."""
        return tf.data.Dataset.range(first, self.size).batch(batch_size).map(lambda number: {"number": number})

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See the base class."""
        size, length, dim = tf.size(batch["number"]), self._config.data.text_length, self._config.text.dim
        words = tf.random.stateless_normal([size, length, dim], [0, 1])
        text = TextFeatures(words[:, 0], words, tf.fill([size], length))
        noise = seeded_noise(batch["number"], self._config.generator.noise_dim)
        return to_uint8(self._generator(noise, text).image)


class _Repeated(Seen):
    """The rows of a collection, over and over, until there are as many as asked for."""

    def __init__(self, seen: Collection, size: int):
        self._seen, self._size = seen, size

    def parts(self, name: str) -> Iterator[np.ndarray]:
        rows, left = self._seen.whole(name), self._size
        while left:
            yield rows[:left]
            left -= len(rows[:left])


def measure(config: Config, num_images: int, num_samples: int) -> dict[str, Any]:
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
        network = load_image_network("keras", weights)
        of_quality = Quality(
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
            collect(RandomCaptions(config, size), [of_quality], f"{folder}/{run}", identity={}, **arguments)
            for run, size in enumerate(sizes)
        )
        whole = _Repeated(seen, num_samples)
        nothing = CaptionList([], [])
        reference = of_quality.refer(whole, nothing)
        start = time.perf_counter()
        of_quality.scores(whole, nothing, reference)
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
