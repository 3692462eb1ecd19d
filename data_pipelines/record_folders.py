"""Where the records of a dataset are. Nothing here loads TensorFlow, so that commands can look before they load it."""

from __future__ import annotations

import os

from etils import epath

# Version of the records' schema. It is part of their path, so records of another version are never mistaken for these.
VERSION = "2.0.0"
# File beside the records that lists what a conversion left out or mended, one JSON object per line.
SKIPPED_FILE = "skipped.jsonl"


def directory(dataset: str, data_dir: str | os.PathLike) -> epath.Path:
    """Returns the folder of a dataset's records, named as TFDS does: `<data_dir>/<dataset>/<version>`."""
    return epath.Path(data_dir).expanduser() / dataset / VERSION


def is_converted(dataset: str, data_dir: str | os.PathLike) -> bool:
    """Returns whether a dataset's records are complete: a conversion renames its folder when it has finished."""
    return (directory(dataset, data_dir) / "dataset_info.json").exists()
