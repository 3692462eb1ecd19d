"""Published files -> records -> batches: the datasets, their conversion, and the input pipeline."""

from __future__ import annotations

import importlib
from typing import Any

# Where each name that users import lives. Loaded when it is asked for: most of them bring TensorFlow along.
_NAMES = {
    "decode_image": "data_pipelines.images",
    "evaluation_batches": "data_pipelines.input_pipeline",
    "evaluation_captions": "data_pipelines.input_pipeline",
    "num_examples": "data_pipelines.input_pipeline",
    "open_dataset": "data_pipelines.records",
    "prepare_scenes": "data_pipelines.prepare",
    "preset": "data_pipelines.datasets",
    "resize_image": "data_pipelines.images",
    "training_batches": "data_pipelines.input_pipeline",
}
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
