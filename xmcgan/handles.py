"""Handles of networks in a config: a TF-Hub handle, a path, or `DATASET:PATH` for a network that was prepared here.

`scenes:bert/encoder` is the folder `bert/encoder` beside the records of the dataset `scenes`, wherever the records are.
So a config is the same on every machine.
"""

from __future__ import annotations

import os
import re

from xmcgan.config import TextConfig

_PREPARED = re.compile(r"(\w{2,}):(?!//)(.+)")  # Neither https://... nor C:\...


def is_prepared(handle: str) -> bool:
    """Tells whether a handle has the form `DATASET:PATH`."""
    return _PREPARED.fullmatch(handle) is not None


def resolve(handle: str, data_dir: str | os.PathLike) -> str:
    """Turns a handle of the form `DATASET:PATH` into a path.

    Args:
      handle: TF-Hub handle, path, or `DATASET:PATH`.
      data_dir: folder of all records.

    Returns:
      `<data_dir>/DATASET/PATH`; any other handle unchanged.
    """
    match = _PREPARED.fullmatch(handle)
    return os.path.join(data_dir, match[1], match[2]) if match else handle


def resolve_text(options: TextConfig, data_dir: str | os.PathLike) -> tuple[str, str]:
    """Returns the handles or paths of an experiment's text preprocessor and encoder, see `resolve`."""
    return resolve(options.preprocessor, data_dir), resolve(options.encoder, data_dir)
