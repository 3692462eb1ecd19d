"""Validation during training: images of held-out captions, and how often these images retrieve their own captions."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Callable, NamedTuple

import numpy as np
import tensorflow as tf

from xmcgan.config import Config
from xmcgan.images import from_uint8
from xmcgan.losses.contrastive import cosine_scores, info_nce
from xmcgan.losses.word_scores import word_region_scores
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.text_to_image import TextToImage
from xmcgan.training.state import TrainState

NUM_CAPTIONS = 64
_BATCH_SIZE = 16


class HeldOut(NamedTuple):
    """The result of one validation on held-out captions."""

    metrics: dict[str, float]  # Retrieval accuracies in [0, 1] by name
    captions: list[str]
    real: np.ndarray  # uint8 [captions, size, size, 3]
    generated: np.ndarray  # uint8 [captions, size, size, 3]

    def summary(self) -> str:
        """Returns the retrieval accuracies of the generated images, in one line."""
        found = {name: value for name, value in self.metrics.items() if "drawn" in name}
        shares = ", ".join(f"{value:.0%} by {name.split('_')[-2]} features" for name, value in found.items())
        number = len(self.captions)
        chance = f"chance: {100 / number:.1f} %"
        return f"of {number} held-out captions, ranked first for their generated image: {shares} ({chance})"

    def grid(self, rows: int) -> tuple[np.ndarray, list[str], list[str]]:
        """Returns pairs of a real and a generated image [rows, 2, size, size, 3], their captions, and column labels."""
        pairs = np.stack([self.real[:rows], self.generated[:rows]], axis=1)
        return pairs, self.captions[:rows], ["real", "generated"]


class Validation:
    """Generates images of the same held-out captions from the same noise at every call, and measures accuracies.

    The retrieval accuracy is the share of images whose own caption scores best among all held-out captions. Captions
    are scored in two ways: by the discriminator's features of image and sentence, or by its features of regions and the
    embeddings of words. Chance is one over the number of captions, which is at most NUM_CAPTIONS.
    """

    def __init__(
        self,
        config: Config,
        state: TrainState,
        text_encoder: TextEncoder,
        held_out: Callable[[], Iterable[Any]],
    ):
        """Stores the networks; the held-out data are read at the first call.

        Args:
          config: the experiment.
          state: the run's state, of which the averaged generator and the discriminator are used.
          text_encoder: encodes the captions.
          held_out: returns batches of images and captions, at most NUM_CAPTIONS in all.
        """
        self._options = config.losses
        self._held_out = held_out
        self._discriminator, self._text_encoder = state.discriminator, text_encoder
        # Made outside the replicas, so that each variable is read from its first copy.
        self._draw = TextToImage.from_networks(state.ema_generator, text_encoder, config)

    def __call__(self) -> HeldOut:
        """Validates the current state."""
        captions, real = self._pairs
        generated = self._draw(captions, range(len(captions)))
        metrics = {**self._accuracies("real", real), **self._accuracies("drawn", generated)}
        return HeldOut(metrics, captions, real, generated)

    @functools.cached_property
    def _pairs(self) -> tuple[list[str], np.ndarray]:
        """The captions, and their real images, uint8 [captions, size, size, 3]."""
        batches = list(self._held_out())
        captions = [caption.decode("utf-8", "replace") for batch in batches for caption in batch.caption.numpy()]
        return captions, np.concatenate([batch.image.numpy() for batch in batches])

    def _accuracies(self, kind: str, images: np.ndarray) -> dict[str, float]:
        """Returns the retrieval accuracies of images [captions, size, size, 3], by name of the metric."""
        captions, _ = self._pairs
        parts = []
        for first in range(0, len(images), _BATCH_SIZE):
            part = slice(first, first + _BATCH_SIZE)
            parts.append(self._features(tf.constant(captions[part]), tf.constant(images[part])))
        image_features, sentences, regions, words, lengths = (tf.concat(tensors, axis=0) for tensors in zip(*parts))
        by_word = word_region_scores(
            regions,
            words,
            lengths,
            rho_1=self._options.rho_1,
            rho_2=self._options.rho_2,
            normalize_context=self._options.context_regions == "normalized",
        )
        scores = {"sentence": cosine_scores(image_features, sentences), "word": by_word}  # Each [captions, captions]
        return {
            f"held_out/{kind}_{name}_accuracy": float(info_nce(each, temperature=1.0, both_directions=False).accuracy)
            for name, each in scores.items()
        }

    @tf.function(autograph=False, reduce_retracing=True)
    @tf.autograph.experimental.do_not_convert
    def _features(self, captions: tf.Tensor, images: tf.Tensor) -> list[tf.Tensor]:
        """Computes the features of images and captions that `_accuracies` compares."""
        text = self._text_encoder(captions)
        output = self._discriminator(from_uint8(images), text.sentence)
        return [
            output.image_features,
            output.sentence_features,
            output.region_features,
            text.words,
            text.lengths,
        ]
