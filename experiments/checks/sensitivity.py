"""Scores real images, unchanged and degraded, against other real images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines import input_pipeline
from data_pipelines.datasets import preset
from data_pipelines.input_pipeline import CaptionList
from eval.collection import collect
from eval.evaluation import SPLIT
from eval.measures.build import build_measures, prepare_networks
from eval.measures.measure import Seen
from eval.score import Score
from eval.sources import DatasetImages, Source
from experiments.checks import degradations
from experiments.checks.degradations import Degraded

DEGRADATIONS = {
    "blur 0.5 px": degradations.blur(0.5),
    "blur 1 px": degradations.blur(1.0),
    "blur 2 px": degradations.blur(2.0),
    "noise 8": degradations.noise(8.0),
    "noise 24": degradations.noise(24.0),
    "noise 64": degradations.noise(64.0),
}
SWAPPED = "captions swapped"


class _Half(Seen):
    """The first or the second half of the collected rows."""

    def __init__(self, rows: dict[str, np.ndarray], half: slice):
        self._rows, self._half = rows, half

    def parts(self, name: str) -> Iterator[np.ndarray]:
        """See the base class."""
        yield self._rows[name][self._half]


def measure(data_dir: str, num_images: int) -> dict[str, list[Score]]:
    """Scores one half of the scenes' real images, with each degradation, against the unchanged other half.

    Args:
      data_dir: folder of all records, with the scenes.
      num_images: images of both halves together; at most as many as the validation split has, so that the halves have
        no image in common.

    Returns:
      The scores by degradation, those of unchanged images ('nothing') first.
    """
    config = preset("scenes")
    options: dict[str, Any] = {"num_captions": num_images, "seed": config.evaluation.seed}
    listed = input_pipeline.evaluation_captions("scenes", SPLIT, data_dir, **options)
    first, second = slice(0, num_images // 2), slice(num_images // 2, num_images)
    shuffled = np.random.default_rng(0).permutation(num_images)  # The list is in the order of the files.
    listed = CaptionList(*([values[i] for i in shuffled] for values in listed))
    second_captions = CaptionList(*(values[second] for values in listed))
    neighbors = np.roll(np.arange(len(second_captions.captions)), 1)
    swapped = CaptionList(*([values[i] for i in neighbors] for values in second_captions))

    prepare_networks(config, data_dir)
    measures = build_measures(config, data_dir)
    real = DatasetImages("scenes", SPLIT, data_dir, image_size=config.data.image_size, **options)

    def seen(source: Source) -> dict[str, np.ndarray]:
        with tempfile.TemporaryDirectory() as folder:
            collected = collect(
                source,
                measures,
                f"{folder}/seen",
                strategy=tf.distribute.get_strategy(),
                batch_size=config.evaluation.batch_size,
                identity=source.identity,
                title=source.identity.get("degraded", "as they are"),
            )
            names = ("features", "logits", "image_embeddings", "object_scores")
            return {name: collected.whole(name)[shuffled] for name in names}

    clean = seen(real)
    reference = [each.refer(_Half(clean, first), CaptionList(*(v[first] for v in listed))) for each in measures]

    def scores(rows: dict[str, np.ndarray], captions: CaptionList) -> list[Score]:
        half = _Half(rows, second)
        return [one for each, real_ones in zip(measures, reference) for one in each.scores(half, captions, real_ones)]

    found = {"nothing": scores(clean, second_captions)}
    for name, degrade in DEGRADATIONS.items():
        found[name] = scores(seen(Degraded(real, degrade, name)), second_captions)
    found[SWAPPED] = scores(clean, swapped)
    return found
