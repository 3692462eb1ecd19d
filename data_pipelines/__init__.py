"""The datasets, their conversion into records, and the input pipeline that turns records into batches."""

from __future__ import annotations

import importlib
from typing import Any

# The module of each name that users import. Modules are loaded on first use, because most of them import TensorFlow.
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
