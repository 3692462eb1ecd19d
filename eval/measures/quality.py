"""FID, KID and IS: the quality of images, measured with an image network (section 5.2)."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from data_pipelines.input_pipeline import CaptionList
from eval import score
from eval.measures.measure import Measure, Reference, Seen, network_identity
from eval.metrics.frechet import CurvePoint, frechet_curve, frechet_distance
from eval.metrics.inception_score import inception_score
from eval.metrics.kernel_distance import kernel_distance
from eval.metrics.moments import Moments
from eval.networks.inception import ImageNetwork
from eval.score import Score

# The metrics in `config.METRICS` that are computed from this network's outputs.
METRICS = ("fid", "kid", "is")
# KID's subsets are drawn from at most this many images of each set: 82 MB of Inception features per set.
_POOL = 10_000
# With fewer images, FID is not comparable with published FIDs.
_ENOUGH = 10_000


class Options(NamedTuple):
    """How the metrics are computed from the network's outputs."""

    metrics: Collection[str]  # Any of METRICS.
    inception_score_splits: int
    kernel_subsets: int
    kernel_subset_size: int
    seed: int  # Seed of KID's subsets.


class Quality(Measure):
    """Distances to the real images (FID, KID), and IS.

    The distances are called FID and KID if the network is an Inception, otherwise FD and KD.
    """

    needs_captions = False

    def __init__(self, network: ImageNetwork, options: Options):
        """Stores the network.

        Args:
          network: the image network, made inside the scope of the strategy that runs it.
          options: see `Options`.
        """
        self.title = f"image network {network.name}"
        self.identity = {
            **network_identity(network.identity),
            "inception_score_splits": options.inception_score_splits,
            "kernel_pool": _POOL,
            "seed": options.seed,
        }
        self.weights = network.identity.get("weights", "")
        self._network = network
        self._options = options
        self._letter = "I" if network.is_inception else ""
        self.distance = self._name(f"F{self._letter}D")  # 'FID/tfgan'

    def prepare(self, listed: CaptionList) -> None:
        """See `Measure.prepare`."""
        if self._network.is_inception and "fid" in self._options.metrics and len(listed.captions) < _ENOUGH:
            logging.log_first_n(
                logging.WARNING,
                "FID of %d images is biased upwards, by an amount that depends on their number: compare it only with "
                "FIDs of as many images, or use KID or --fid_curve",
                1,
                len(listed.captions),
            )

    @property
    def protocol(self) -> dict[str, Any]:
        """See `Measure.protocol`."""
        options = self._options
        sizes = {"kernel_subsets": options.kernel_subsets, "kernel_subset_size": options.kernel_subset_size}
        return {**self.identity, **(sizes if "kid" in options.metrics else {})}

    def look(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Measure.look`."""
        output = self._network(images)
        return {"features": output.features, "logits": output.logits}

    def refer(self, seen: Seen, listed: CaptionList) -> Reference:
        """See `Measure.refer`."""
        inception = inception_score(seen.whole("logits"), self._options.inception_score_splits)
        return Reference(
            {**_moments(seen).to_arrays(), "pool": self._pool(seen)},
            [score.from_estimate(self._name("IS"), inception, score.HIGHER)],
        )

    def scores(self, seen: Seen, listed: CaptionList, reference: Reference) -> list[Score]:
        """See `Measure.scores`."""
        options, scores = self._options, []
        if "fid" in options.metrics:
            real, measured = Moments.from_arrays(reference.arrays), _moments(seen)
            distance = frechet_distance(real.mean, real.covariance, measured.mean, measured.covariance)
            scores.append(Score(self.distance, distance, None, score.LOWER))
        if "kid" in options.metrics:
            kernel = kernel_distance(
                reference.arrays["pool"],
                self._pool(seen),
                num_subsets=options.kernel_subsets,
                subset_size=options.kernel_subset_size,
                seed=options.seed,
            )
            scores.append(score.from_estimate(self._name(f"K{self._letter}D"), kernel, score.LOWER))
        if "is" in options.metrics:
            inception = inception_score(seen.whole("logits"), options.inception_score_splits)
            scores.append(score.from_estimate(self._name("IS"), inception, score.HIGHER))
        return scores

    def curve(self, seen: Seen, reference: Reference, num_points: int = 10) -> list[CurvePoint]:
        """Computes FID for `num_points` evenly spaced numbers of images, taken in a random order."""
        features = seen.whole("features")
        counts = np.linspace(len(features) / num_points, len(features), num_points).astype(int)
        return frechet_curve(features, Moments.from_arrays(reference.arrays), counts.tolist(), seed=self._options.seed)

    def _pool(self, seen: Seen) -> np.ndarray:
        """Returns the features that KID's subsets are drawn from, [pool, dim] float32: up to _POOL, chosen randomly."""
        num_images = sum(len(part) for part in seen.parts("features"))
        kept = np.sort(np.random.default_rng(self._options.seed).permutation(num_images)[:_POOL])
        pool, first = [], 0
        for part in seen.parts("features"):
            begin, end = np.searchsorted(kept, [first, first + len(part)])
            pool.append(part[kept[begin:end] - first])
            first += len(part)
        return np.concatenate(pool)

    def _name(self, metric: str) -> str:
        return f"{metric}/{self._network.name}"


def _moments(seen: Seen) -> Moments:
    parts = seen.parts("features")
    features = next(parts)
    moments = Moments(features.shape[1])
    for part in itertools.chain([features], parts):
        moments.update(part)
    return moments
