"""How images were measured, as JSON values: what must be equal before two numbers may be compared."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import Any

from data_pipelines.input_pipeline import CaptionList
from eval.measures.measure import Measure


def fingerprint(identity: Any) -> str:
    """SHA-256 of JSON values, in hexadecimal."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def identify_captions(dataset: str, split: str, seed: int, listed: CaptionList) -> dict[str, Any]:
    """What decides a list of captions: where it was drawn from, and its content.

    Args:
      dataset: name of the dataset.
      split: of the dataset.
      seed: of the list.
      listed: the list itself.
    """
    return {
        "dataset": dataset,
        "split": split,
        "num_samples": len(listed.captions),
        "num_images": len(set(listed.image_ids)),  # Fewer than samples: oversampled.
        "seed": seed,
        "sha256": fingerprint(listed._asdict()),
    }


def fingerprint_files(files: Iterable[str]) -> str:
    """SHA-256 of the names, sizes and times of files: other files, or changed ones, give another."""
    found = [(os.path.basename(file), os.stat(file).st_size, os.stat(file).st_mtime_ns) for file in files]
    return fingerprint(found)


def identify_measures(measures: Iterable[Measure]) -> dict[str, Any]:
    """What decides the scores that measures give, by their titles."""
    return {measure.title: measure.protocol for measure in measures}
