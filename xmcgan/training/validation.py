"""Images of held-out captions during training: a grid to look at, and how often they are told apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from xmcgan.config import Config
from xmcgan.losses.contrastive import cosine_scores, info_nce
from xmcgan.losses.word_scores import word_region_scores
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.synthesis import from_uint8, noise_of, to_uint8
from xmcgan.training.state import TrainState

NUM_CAPTIONS = 64
_BATCH_SIZE = 16


class HeldOut(NamedTuple):
    """What a look at held-out captions gives."""

    metrics: dict[str, float]  # Retrieval accuracies in [0, 1] by name
    captions: list[str]
    real: np.ndarray  # uint8 [captions, size, size, 3]
    drawn: np.ndarray  # uint8 [captions, size, size, 3]

    def in_words(self) -> str:
        """How often the generated images are told apart, in one line."""
        found = {name: value for name, value in self.metrics.items() if "drawn" in name}
        shares = ", ".join(f"{value:.0%} by {name.split('_')[-2]} features" for name, value in found.items())
        number = len(self.captions)
        chance = f"chance: {100 / number:.1f} %"
        return f"of {number} held-out captions, found first by their generated picture: {shares} ({chance})"

    def grid(self, rows: int) -> tuple[np.ndarray, list[str], list[str]]:
        """Real and generated images side by side, [rows, 2, size, size, 3], captions and column labels."""
        pairs = np.stack([self.real[:rows], self.drawn[:rows]], axis=1)
        return pairs, self.captions[:rows], ["real", "generated"]


class Validation:
    """Draws the same held-out captions with the same noise whenever it is asked.

    Retrieval accuracy: how often, among NUM_CAPTIONS captions, the one that an image was drawn from scores best by
    the discriminator's own sentence or word features. Chance is 1 / NUM_CAPTIONS.
    """

    def __init__(self, config: Config, state: TrainState, text_encoder: TextEncoder, batches: Iterable):
        """Args:
        config: the experiment.
        state: its averaged generator and its discriminator are looked at.
        text_encoder: of captions.
        batches: of held-out images and captions, NUM_CAPTIONS in all or fewer.
        """
        batches = list(batches)
        self._options = config.losses
        self._captions = [caption.decode("utf-8", "replace") for batch in batches for caption in batch.caption.numpy()]
        self._real = np.concatenate([batch.image.numpy() for batch in batches])  # uint8 [captions, size, size, 3]
        self._noise_dim = config.generator.noise_dim
        self._state = state
        self._text_encoder = text_encoder
        # Outside of the replicas: variables read from their first copy.
        self._look = tf.function(self._look, reduce_retracing=True)

    def __call__(self) -> HeldOut:
        """Looks at the state as it is."""
        drawn, features = [], {"real": [], "drawn": []}
        for first in range(0, len(self._captions), _BATCH_SIZE):
            part = slice(first, first + _BATCH_SIZE)
            seeds = tf.range(first, first + len(self._captions[part]), dtype=tf.int64)
            looked = self._look(tf.constant(self._captions[part]), tf.constant(self._real[part]), seeds)
            drawn.append(looked["images"].numpy())
            for kind, of_kind in features.items():
                of_kind.append(looked[kind])
        metrics = {}
        for kind, parts in features.items():
            images, sentences, regions, words, lengths = (tf.concat(tensors, axis=0) for tensors in zip(*parts))
            options = self._options
            by_word = word_region_scores(
                regions,
                words,
                lengths,
                rho_1=options.rho_1,
                rho_2=options.rho_2,
                normalize_context=options.context_regions == "normalized",
            )
            for name, scores in (("sentence", cosine_scores(images, sentences)), ("word", by_word)):
                found = info_nce(scores, temperature=1.0, both_directions=False).accuracy
                metrics[f"held_out/{kind}_{name}_accuracy"] = float(found)
        return HeldOut(metrics, self._captions, self._real, np.concatenate(drawn))

    def _look(self, captions: tf.Tensor, real: tf.Tensor, seeds: tf.Tensor) -> dict:
        text = self._text_encoder(captions)
        drawn = self._state.ema_generator(noise_of(seeds, self._noise_dim), text, training=False).image
        looked = {"images": to_uint8(drawn)}
        for kind, images in (("real", from_uint8(real)), ("drawn", drawn)):
            output = self._state.discriminator(images, text.sentence, training=False)
            looked[kind] = (
                output.image_features,
                output.sentence_features,
                output.region_features,
                text.words,
                text.lengths,
            )
        return looked
