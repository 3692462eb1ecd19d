"""R-precision: whether an image finds its caption among others (section 5.2, 'Text-Image Alignment')."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines.input_pipeline import CaptionList
from eval import score
from eval.measures.measure import Measure, Reference, Seen, network_identity
from eval.metrics.r_precision import draw_mismatches, r_precision
from eval.retrieval.dual_encoder import DualEncoder
from eval.score import Score

_CAPTIONS_AT_ONCE = 256


class Options(NamedTuple):
    """The protocol of R-precision."""

    mismatches: int  # Captions beside the true one: 99.
    folds: int  # 10.
    seed: int  # Of the mismatches.


class _Kept(NamedTuple):
    """What is made of a list of captions once."""

    listed: CaptionList
    embeddings: np.ndarray  # [captions, dim]
    mismatches: np.ndarray  # [captions, mismatches]


class Alignment(Measure):
    """R-precision by an image-text dual encoder."""

    def __init__(self, dual_encoder: DualEncoder, options: Options):
        """Takes the network.

        Args:
          dual_encoder: independent of the generator; made inside the scope of the strategy that runs it.
          options: see `Options`.
        """
        self.title = f"dual encoder {dual_encoder.name}"
        self.identity = {**network_identity(dual_encoder.identity), **options._asdict()}
        self.weights = dual_encoder.identity.get("weights", "")
        self._dual_encoder = dual_encoder
        self._options = options
        self._kept: _Kept | None = None

    def prepare(self, listed: CaptionList) -> None:
        """See `Measure.prepare`."""
        self._encoded(listed)

    def look(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Measure.look`."""
        return {"image_embeddings": self._dual_encoder.encode_images(images)}

    def refer(self, seen: Seen, listed: CaptionList) -> Reference:
        """See `Measure.refer`."""
        return Reference({}, [self._score(seen, listed)])

    def scores(self, seen: Seen, listed: CaptionList, reference: Reference) -> list[Score]:
        """See `Measure.scores`."""
        return [self._score(seen, listed)]

    def _score(self, seen: Seen, listed: CaptionList) -> Score:
        captions = self._encoded(listed)
        precision = r_precision(
            seen.whole("image_embeddings"), captions.embeddings, captions.mismatches, folds=self._options.folds
        )
        return score.percentage(f"R-precision/{self._dual_encoder.name}", precision)

    def _encoded(self, listed: CaptionList) -> _Kept:
        """The captions of a list as the dual encoder sees them, kept for its next images."""
        if self._kept is None or self._kept.listed is not listed:
            embeddings = [
                self._dual_encoder.encode_captions(tf.constant(listed.captions[first : first + _CAPTIONS_AT_ONCE]))
                for first in range(0, len(listed.captions), _CAPTIONS_AT_ONCE)
            ]
            options = self._options
            mismatches = draw_mismatches(listed.image_ids, listed.captions, num=options.mismatches, seed=options.seed)
            self._kept = _Kept(listed, np.concatenate([rows.numpy() for rows in embeddings]), mismatches)
        return self._kept
