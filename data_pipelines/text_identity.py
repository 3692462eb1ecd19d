"""Which text encoder an experiment uses, told by content: what decides the features of a caption."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf
import tensorflow_hub as hub

from data_pipelines import prepare
from xmcgan.config import Config

# What of a SavedModel computes. Not so Keras' notes, licences, or what a file browser leaves behind.
_GRAPH, _FOLDERS = "saved_model.pb", ("assets", "variables")
_CHUNK = 1 << 20


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


def handles(config: Config, data_dir: str | os.PathLike) -> tuple[str, str]:
    """TF-Hub handles, or folders, of an experiment's preprocessor and encoder.

    Args:
      config: empty handles in `text` mean the small BERT that was prepared together with the scenes.
      data_dir: folder of all records.
    """
    prepared = prepare.text_model_folder(data_dir)
    return (
        config.text.preprocessor or os.path.join(prepared, "preprocessor"),
        config.text.encoder or os.path.join(prepared, "encoder"),
    )


def of_config(config: Config, data_dir: str | os.PathLike) -> TextIdentity:
    """The identity of an experiment's text features; reads both SavedModels, a second or two for a BERT.

    Call it when the `TextEncoder` has been loaded: that fetches them, and has the better words if it cannot.

    Args:
      config: the experiment.
      data_dir: folder of all records.
    """
    digests = [_digest(hub.resolve(handle)) for handle in handles(config, data_dir)]
    return TextIdentity(*digests, config.data.text_length, config.text.sentence_pooling)


def _digest(folder: str) -> str:
    """SHA-256 of a SavedModel: of the names, lengths and bytes of its files, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(_files(folder)):
        path = os.path.join(folder, name)
        digest.update(f"{name}\0{tf.io.gfile.stat(path).length}\0".encode())
        with tf.io.gfile.GFile(path, "rb") as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _files(folder: str) -> Iterator[str]:
    """Names within the folder, with forward slashes."""
    yield _GRAPH
    for part in _FOLDERS:
        for parent, _, names in tf.io.gfile.walk(os.path.join(folder, part)):
            for name in names:
                yield os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, "/")
