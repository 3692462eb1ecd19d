"""Evaluation of images: the metrics of the paper's section 5.2, and rankings by people."""

from __future__ import annotations

import importlib
from typing import Any

# The module of each public name. Modules are imported on first use, because most of them import TensorFlow.
_NAMES = {
    "DatasetImages": "eval.sources",
    "Evaluation": "eval.evaluation",
    "FolderImages": "eval.sources",
    "GeneratedImages": "eval.sources",
    "Result": "eval.results",
    "Score": "eval.score",
    "frechet_distance": "eval.metrics.frechet",
    "inception_score": "eval.metrics.inception_score",
    "kernel_distance": "eval.metrics.kernel_distance",
    "r_precision": "eval.metrics.r_precision",
}
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
