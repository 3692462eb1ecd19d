"""Where stored text features lie, whether they are whole, and whether they are those of an experiment.

They lie within the dataset's folder of records, for each text encoder in a folder named by its fingerprint:

  text_features/<fingerprint>/<name>.tfrecord-00000-of-00005  record for record beside the dataset's file of that name
  text_features/<fingerprint>/train.index.npy                 where each of them begins
  text_features/<fingerprint>/train.json                      what they are; written last, so what has it is whole
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from etils import epath

from data_pipelines import datasets, record_index, records
from data_pipelines.record_index import RecordIndex
from data_pipelines.text_features import StoredText
from xmcgan import config as config_lib
from xmcgan import handles
from xmcgan.config import Config
from xmcgan.files import write_text
from xmcgan.models import hub_files

_FOLDER = "text_features"
_DIGITS = 16  # Of the fingerprint, in the name of its folder.
# Records compared with the dataset's before a run begins.
_SAMPLES = 16
# Where the parts of an identity come from.
_FIELDS = {
    "preprocessor": "text.preprocessor",
    "encoder": "text.encoder",
    "text_length": "data.text_length",
    "sentence_pooling": "text.sentence_pooling",
}


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


def identify(config: Config, data_dir: str | os.PathLike) -> TextIdentity:
    """The identity of an experiment's text features; reads both SavedModels, a second or two for a BERT.

    Call it when the `TextEncoder` has been loaded: that fetches them, and has the better words if it cannot.

    Args:
      config: the experiment.
      data_dir: folder of all records.
    """
    preprocessor, encoder = handles.resolve_text(config.text, data_dir)
    return TextIdentity(
        preprocessor=hub_files.saved_model_digest(preprocessor),
        encoder=hub_files.saved_model_digest(encoder),
        text_length=config.data.text_length,
        sentence_pooling=config.text.sentence_pooling,
    )


def folder(dataset: str, data_dir: str | os.PathLike, identity: TextIdentity) -> epath.Path:
    """Where the features of an encoder lie."""
    return records.directory(dataset, data_dir) / _FOLDER / identity.fingerprint[:_DIGITS]


def is_whole(dataset: str, data_dir: str | os.PathLike, identity: TextIdentity, split: str) -> bool:
    """Whether all features of a split are there."""
    return _description(folder(dataset, data_dir, identity), split).exists()


def finish(config: Config, data_dir: str | os.PathLike, identity: TextIdentity, split: str, dim: int) -> None:
    """Indexes the files of a split and describes them, when all are there.

    Args:
      config: the experiment that they were made for.
      data_dir: folder of all records.
      identity: of the text encoder.
      split: of the dataset.
      dim: width of the features.
    """
    target = folder(config.dataset, data_dir, identity)
    info = records.open_dataset(config.dataset, data_dir).info.splits[split]
    record_index.write(target, split, sorted(info.filenames))
    description = {
        "fingerprint": identity.fingerprint,
        "identity": identity._asdict(),
        "handles": dict(zip(("preprocessor", "encoder"), handles.resolve_text(config.text, data_dir))),
        "dim": dim,
        "pictures": info.num_examples,
    }
    path = _description(target, split)
    write_text(path, json.dumps(description, indent=2) + "\n")


def load(config: Config, data_dir: str | os.PathLike, split: str = "train") -> StoredText:
    """The stored features of a split for an experiment, held against its text encoder and its records.

    Call it when the experiment's `TextEncoder` has been loaded (see `identify`).

    Args:
      config: the experiment.
      data_dir: folder of all records.
      split: of the dataset.

    Returns:
      The features.

    Raises:
      FileNotFoundError: there are none, or the dataset has not been converted; the message tells the command.
      ValueError: those that are there were made by another text encoder, or otherwise than the config says, or for
        other records, or are damaged; says what differs, and what to do.
    """
    identity = identify(config, data_dir)
    target = folder(config.dataset, data_dir, identity)
    info = records.open_dataset(config.dataset, data_dir).info.splits[split]
    if not is_whole(config.dataset, data_dir, identity, split):
        raise _missing(config, data_dir, identity, split)
    remedy = f"remove {os.fspath(target)}, and make them again by `{command(config, data_dir)}`"
    try:
        index = record_index.load(target, split, [target / file for file in sorted(info.filenames)], info.shard_lengths)
    except (FileNotFoundError, ValueError) as error:
        what, _, _ = str(error).partition(": ")  # What follows is what to do about records.
        raise ValueError(f"the stored text features are damaged: {what}: {remedy}") from error
    stored = StoredText(index, config.data.text_length, config.text.dim, remedy)
    own = records.directory(config.dataset, data_dir)
    _compare(record_index.load(own, split, info.filepaths, info.shard_lengths), stored, remedy)
    return stored


def command(config: Config, data_dir: str | os.PathLike) -> str:
    """The command that makes the features of an experiment."""
    own, flat = config_lib.flatten(datasets.preset(config.dataset)), config_lib.flatten(config)
    fields = [field for field in (*_FIELDS.values(), "text.dim") if flat[field] != own[field]]
    return (
        f"python -m data_pipelines.precompute_text --dataset={config.dataset} "
        f"--data_dir={os.fspath(data_dir)}{''.join(f' --config.{field}={flat[field]}' for field in fields)}"
    )


def _description(target: epath.Path, split: str) -> epath.Path:
    return target / f"{split}.json"


def _compare(index: RecordIndex, stored: StoredText, remedy: str) -> None:
    """Looks at some records before a run begins; each one is looked at again when it is read."""
    numbers = np.unique(np.linspace(0, len(index) - 1, _SAMPLES).astype(np.int64))
    numbers = tf.data.Dataset.from_tensors(numbers)
    for serialized, text in tf.data.Dataset.zip((index.read(numbers), stored.fetch(numbers))):
        record = records.parse(serialized)
        try:
            stored.decode(text, tf.constant(0), record.captions[0], record.image_id)
        except tf.errors.InvalidArgumentError as error:
            image_id = tf.convert_to_tensor(record.image_id).numpy().decode()
            raise ValueError(
                f"the stored text features are not of these records (image {image_id}): {remedy}"
            ) from error


def _missing(config: Config, data_dir: str | os.PathLike, identity: TextIdentity, split: str) -> Exception:
    """Why there are no features of this identity: not made, not finished, or made otherwise."""
    target, make = folder(config.dataset, data_dir, identity), command(config, data_dir)
    if target.exists():
        return FileNotFoundError(f"the text features in {os.fspath(target)} are not finished: go on by `{make}`")
    descriptions = [json.loads(path.read_text()) for path in target.parent.glob(f"*/{split}.json")]
    if not descriptions:
        return FileNotFoundError(
            f"no text features of dataset '{config.dataset}' in {os.fspath(target.parent)}: make them by `{make}`, "
            "or encode captions within the step, by --noconfig.text.precomputed"
        )
    named = dict(zip(("preprocessor", "encoder"), handles.resolve_text(config.text, data_dir)))
    differences = min((_differences(each, identity, named) for each in descriptions), key=len)
    return ValueError(
        f"the text features in {os.fspath(target.parent)} were made with {' and '.join(differences)}: "
        f"make those of this config by `{make}`"
    )


def _differences(description: dict[str, Any], identity: TextIdentity, named: dict[str, str]) -> list[str]:
    """What of an identity was otherwise in the features of a description, in the words of the config."""
    differences = []
    for part, old in description["identity"].items():
        new = getattr(identity, part)
        if old == new:
            continue
        if part in named:
            old, new = description["handles"][part], named[part]
        how = f"not {new!r}" if old != new else "which has changed since"
        differences.append(f"config.{_FIELDS[part]}={old!r}, {how}")
    return differences
