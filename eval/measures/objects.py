"""SOA: whether the objects that a caption names are found in its image (section 5.2, Hinz et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from data_pipelines.input_pipeline import CaptionList
from eval import score
from eval.measures.measure import Measure, Reference, Seen, network_identity
from eval.metrics.soa import Soa, semantic_object_accuracy
from eval.networks.detector import Detector, best_scores
from eval.objects.soa_classes import ObjectClass, detector_columns
from eval.score import Estimate, Score


class Objects(Measure):
    """SOA-C and SOA-I, measured with an object detector."""

    def __init__(
        self,
        detector: Detector,
        classes: Sequence[ObjectClass],
        wanted: Callable[[Sequence[str]], np.ndarray],
        threshold: float,
        protocol: str,
        label: str = "",
    ):
        """Stores the network.

        Args:
          detector: the detector, made inside the scope of the strategy that runs it.
          classes: the classes that count; the detector must have labels for all of them.
          wanted: maps captions to the classes that their images should show, [captions, classes] bool.
          threshold: lowest score at which an object counts as found, in [0, 1).
          protocol: describes in words which captions are used, and how their classes are known.
          label: suffix of the scores' names that distinguishes protocols, such as ' approx.'.
        """
        self.title = f"detector {detector.name}"
        self.identity = {
            **network_identity(detector.identity),
            "threshold": threshold,
            "captions": protocol,
        }
        self.weights = detector.identity.get("weights", "")
        self._detector = detector
        self._names = [each.name for each in classes]
        self._columns = detector_columns(detector.class_names, classes)  # [classes]
        self._wanted = wanted
        self._threshold = threshold
        self._label = label

    def look(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Measure.look`."""
        scores = best_scores(self._detector(images), len(self._detector.class_names))
        return {"object_scores": tf.gather(scores, self._columns, axis=1)}  # [batch, classes]

    def refer(self, seen: Seen, listed: CaptionList) -> Reference:
        """See `Measure.refer`."""
        return Reference({}, self._scores(self._accuracy(seen, listed)))

    def scores(self, seen: Seen, listed: CaptionList, reference: Reference) -> list[Score]:
        """See `Measure.scores`."""
        return self._scores(self._accuracy(seen, listed))

    def details(self, seen: Seen, listed: CaptionList, reference: Reference) -> dict[str, Any]:
        """See `Measure.details`."""
        soa = self._accuracy(seen, listed)
        return {
            "SOA": {
                "SOA-C of the half of the classes with more pictures": soa.top,
                "SOA-C of the other half": soa.bottom,
                "classes without pictures": soa.missing,
                "classes": {each.name: {"found": each.found, "total": each.total} for each in soa.per_class},
            }
        }

    def _accuracy(self, seen: Seen, listed: CaptionList) -> Soa:
        found = seen.whole("object_scores") >= self._threshold  # [images, classes]
        return semantic_object_accuracy(found, self._wanted(listed.captions), self._names)

    def _scores(self, soa: Soa) -> list[Score]:
        return [
            score.percentage(f"SOA-{kind}{self._label}/{self._detector.name}", Estimate(value))
            for kind, value in (("C", soa.soa_c), ("I", soa.soa_i))
        ]
