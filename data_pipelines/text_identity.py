"""Which text encoder an experiment uses, told by content: what decides the features of a caption."""

from __future__ import annotations

import hashlib
import json
import os
from typing import NamedTuple

from xmcgan import handles
from xmcgan.config import Config
from xmcgan.models import hub_files


class TextIdentity(NamedTuple):
    """All that decides the features of a caption; equal for equal features, wherever the SavedModels lie."""

    preprocessor: str  # SHA-256 of the SavedModel's content, in hexadecimal.
    encoder: str  # The same of the encoder.
    text_length: int
    sentence_pooling: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it, in hexadecimal."""
        return hashlib.sha256(json.dumps(self._asdict(), sort_keys=True).encode()).hexdigest()


def of_config(config: Config, data_dir: str | os.PathLike) -> TextIdentity:
    """The identity of an experiment's text features; reads both SavedModels, a second or two for a BERT.

    Call it when the `TextEncoder` has been loaded: that fetches them, and has the better words if it cannot.

    Args:
      config: the experiment.
      data_dir: folder of all records.
    """
    digests = [hub_files.saved_model_digest(handle) for handle in handles.resolve_text(config.text, data_dir)]
    return TextIdentity(*digests, config.data.text_length, config.text.sentence_pooling)
