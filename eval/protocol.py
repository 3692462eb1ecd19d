"""Describes how images were measured, as JSON values. Two results can be compared only if these are equal."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import Any

from data_pipelines.input_pipeline import CaptionList
from eval.measures.measure import Measure


def fingerprint(identity: Any) -> str:
    """Returns the SHA-256 of JSON values, in hexadecimal."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def identify_captions(dataset: str, split: str, seed: int, listed: CaptionList) -> dict[str, Any]:
    """Describes a list of captions: the dataset it was drawn from, and its content.

    Args:
      dataset: name of the dataset.
      split: name of the split.
      seed: seed that the list was drawn with.
      listed: the list itself.
    """
    return {
        "dataset": dataset,
        "split": split,
        "num_samples": len(listed.captions),
        "num_images": len(set(listed.image_ids)),  # Fewer than num_samples if the list was oversampled.
        "seed": seed,
        "sha256": fingerprint(listed._asdict()),
    }


def fingerprint_files(files: Iterable[str]) -> str:
    """Returns the SHA-256 of files' names, sizes and modification times; it changes when any file does."""
    found = [(os.path.basename(file), os.stat(file).st_size, os.stat(file).st_mtime_ns) for file in files]
    return fingerprint(found)


def identify_measures(measures: Iterable[Measure]) -> dict[str, Any]:
    """Returns everything that the measures' scores depend on, by title of the measure."""
    return {measure.title: measure.protocol for measure in measures}
