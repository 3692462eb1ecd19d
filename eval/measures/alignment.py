"""R-precision: whether an image's own caption ranks first among others (section 5.2, 'Text-Image Alignment')."""

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

    mismatches: int  # Captions besides the true one, usually 99.
    folds: int  # Usually 10.
    seed: int  # Seed of the mismatches.


class _EncodedCaptions(NamedTuple):
    """A list of captions with its embeddings and mismatches, which are computed once."""

    listed: CaptionList
    embeddings: np.ndarray  # [captions, dim]
    mismatches: np.ndarray  # [captions, mismatches]


class Alignment(Measure):
    """R-precision, measured with an image-text dual encoder."""

    def __init__(self, dual_encoder: DualEncoder, options: Options):
        """Stores the network.

        Args:
          dual_encoder: a dual encoder that is independent of the generator, made inside the scope of the strategy that
            runs it.
          options: see `Options`.
        """
        self.title = f"dual encoder {dual_encoder.name}"
        self.identity = {**network_identity(dual_encoder.identity), **options._asdict()}
        self.weights = dual_encoder.identity.get("weights", "")
        self._dual_encoder = dual_encoder
        self._options = options
        self._encoded: _EncodedCaptions | None = None

    def prepare(self, listed: CaptionList) -> None:
        """See `Measure.prepare`."""
        self._encode(listed)

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
        captions = self._encode(listed)
        precision = r_precision(
            seen.whole("image_embeddings"), captions.embeddings, captions.mismatches, folds=self._options.folds
        )
        return score.percentage(f"R-precision/{self._dual_encoder.name}", precision)

    def _encode(self, listed: CaptionList) -> _EncodedCaptions:
        """Encodes the captions of a list, and caches the result for other images of the same list."""
        if self._encoded is None or self._encoded.listed is not listed:
            embeddings = [
                self._dual_encoder.encode_captions(tf.constant(listed.captions[first : first + _CAPTIONS_AT_ONCE]))
                for first in range(0, len(listed.captions), _CAPTIONS_AT_ONCE)
            ]
            options = self._options
            mismatches = draw_mismatches(listed.image_ids, listed.captions, num=options.mismatches, seed=options.seed)
            self._encoded = _EncodedCaptions(listed, np.concatenate([rows.numpy() for rows in embeddings]), mismatches)
        return self._encoded
