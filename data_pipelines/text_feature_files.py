"""The files of stored text features: their paths, whether they are complete, and whether they match an experiment.

They are in the dataset's folder of records. Each text encoder has its own folder, named by its fingerprint:

  text_features/<fingerprint>/<name>.tfrecord-00000-of-00005  a record per record of the dataset's file of that name
  text_features/<fingerprint>/train.index.npy                 the index of these records, see `record_index`
  text_features/<fingerprint>/train.json                      a description; written last, so it marks completeness
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shlex
from typing import Any, NamedTuple

import msgspec
import numpy as np
import tensorflow as tf
from etils import epath

from data_pipelines import datasets, record_damage, record_index, records
from data_pipelines.record_index import RecordIndex
from data_pipelines.text_features import StoredText
from xmcgan import config as config_lib
from xmcgan import failures, handles, text_files
from xmcgan.config import Config
from xmcgan.files import matching, write_text
from xmcgan.models import hub_files

_FOLDER = "text_features"
_DIGITS = 16  # Digits of the fingerprint in the name of its folder.
# Number of stored records that are compared with the dataset's records before a run begins.
_NUM_COMPARED = 16
# The config field behind each field of an identity.
_CONFIG_FIELDS = {
    "preprocessor": "text.preprocessor",
    "encoder": "text.encoder",
    "text_length": "data.text_length",
    "sentence_pooling": "text.sentence_pooling",
}


class _Description(msgspec.Struct):
    """The description of stored features; only what is read again."""

    identity: dict[str, Any]
    handles: dict[str, str]


class TextIdentity(NamedTuple):
    """Everything that determines the features of a caption; it does not depend on where the SavedModels are stored."""

    preprocessor: str  # SHA-256 of the preprocessor's SavedModel, in hexadecimal.
    encoder: str  # SHA-256 of the encoder's SavedModel, in hexadecimal.
    text_length: int
    sentence_pooling: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all fields, in hexadecimal."""
        return hashlib.sha256(json.dumps(self._asdict(), sort_keys=True).encode()).hexdigest()


def identify(config: Config, data_dir: str | os.PathLike) -> TextIdentity:
    """Computes the identity of an experiment's text features.

    Reads both SavedModels, which takes a second or two for BERT. Call it after the `TextEncoder` has been loaded: the
    encoder downloads the SavedModels, and if it cannot, its errors are clearer.

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
    """Returns the folder of the features with this identity."""
    return records.directory(dataset, data_dir) / _FOLDER / identity.fingerprint[:_DIGITS]


def is_complete(dataset: str, data_dir: str | os.PathLike, identity: TextIdentity, split: str) -> bool:
    """Returns whether all features of a split have been stored."""
    return _description(folder(dataset, data_dir, identity), split).exists()


def finish(config: Config, data_dir: str | os.PathLike, identity: TextIdentity, split: str, dim: int) -> None:
    """Writes the index and the description of a split's features; call it when all their files are written.

    Args:
      config: the experiment that the features were made for.
      data_dir: folder of all records.
      identity: identity of the features.
      split: split of the dataset.
      dim: dimension of the features.
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
    """Loads the stored features of a split, and checks that they match the experiment and the records.

    Call it after the experiment's `TextEncoder` has been loaded (see `identify`).

    Args:
      config: the experiment.
      data_dir: folder of all records.
      split: split of the dataset.

    Returns:
      The features.

    Raises:
      FileNotFoundError: there are no features, or the dataset has not been converted; the message names the command.
      ValueError: the features were made by another text encoder, with other settings or for other records, or they are
        damaged; the message says what differs and what to do.
    """
    identity = identify(config, data_dir)
    target = folder(config.dataset, data_dir, identity)
    info = records.open_dataset(config.dataset, data_dir).info.splits[split]
    if not is_complete(config.dataset, data_dir, identity, split):
        raise _missing(config, data_dir, identity, split)
    remedy = f"remove {os.fspath(target)}, and make them again with `{command(config, data_dir)}`"
    try:
        index = record_index.load(target, split, [target / file for file in sorted(info.filenames)], info.shard_lengths)
    except (FileNotFoundError, ValueError) as error:
        what, _, _ = str(error).partition(": ")  # The rest says what to do about damaged records of the dataset.
        raise ValueError(f"the stored text features are damaged: {what}: {remedy}") from error
    lengths = {os.fspath(target / file): size for file, size in zip(sorted(info.filenames), info.shard_lengths)}
    failures.add_explainer(
        os.fspath(target), functools.partial(record_damage.explain, target, lengths, remedy, tf.identity)
    )
    stored = StoredText(index, config.data.text_length, config.text.dim, remedy)
    dataset_index = record_index.load(
        records.directory(config.dataset, data_dir), split, info.filepaths, info.shard_lengths
    )
    _compare(dataset_index, stored, remedy)
    return stored


def command(config: Config, data_dir: str | os.PathLike) -> str:
    """Returns the command that makes the features of an experiment."""
    default, flat = config_lib.flatten(datasets.preset(config.dataset, data_dir=data_dir)), config_lib.flatten(config)
    fields = [field for field in (*_CONFIG_FIELDS.values(), "text.dim") if flat[field] != default[field]]
    flags = [f"--dataset={config.dataset}", f"--data_dir={os.fspath(data_dir)}"]
    flags += [f"--config.{field}={flat[field]}" for field in fields]
    return f"python -m data_pipelines.precompute_text {' '.join(map(shlex.quote, flags))}"


def _description(target: epath.Path, split: str) -> epath.Path:
    return target / f"{split}.json"


def _compare(index: RecordIndex, stored: StoredText, remedy: str) -> None:
    """Compares some features with their records before a run begins. All of them are checked again when read."""
    numbers = np.unique(np.linspace(0, len(index) - 1, _NUM_COMPARED).astype(np.int64))
    numbers = tf.data.Dataset.from_tensors(numbers)
    for serialized, text in tf.data.Dataset.zip((index.read(numbers), stored.fetch(numbers))):
        record = records.parse(serialized)
        try:
            stored.decode(text, tf.constant(0), record.captions[0], record.image_id)
        except tf.errors.InvalidArgumentError as error:
            image_id = tf.convert_to_tensor(record.image_id).numpy().decode()
            raise ValueError(
                f"the stored text features do not belong to these records (image {image_id}): {remedy}"
            ) from error


def _missing(config: Config, data_dir: str | os.PathLike, identity: TextIdentity, split: str) -> Exception:
    """Returns an error that says why no features have this identity: not made, unfinished, or made differently."""
    target, make = folder(config.dataset, data_dir, identity), command(config, data_dir)
    if target.exists():
        return FileNotFoundError(f"the text features in {os.fspath(target)} are unfinished: resume with `{make}`")
    descriptions = [
        text_files.read_json(path, _Description)
        for each in matching(target.parent, "*")
        for path in matching(each, f"{split}.json")
    ]
    if not descriptions:
        return FileNotFoundError(
            f"no text features of dataset '{config.dataset}' in {os.fspath(target.parent)}: make them with `{make}`, "
            "or encode captions during training with --noconfig.text.precomputed"
        )
    named = dict(zip(("preprocessor", "encoder"), handles.resolve_text(config.text, data_dir)))
    differences = min((_differences(each, identity, named) for each in descriptions), key=len)
    return ValueError(
        f"the text features in {os.fspath(target.parent)} were made with {' and '.join(differences)}: "
        f"make those of this config with `{make}`"
    )


def _differences(description: _Description, identity: TextIdentity, named: dict[str, str]) -> list[str]:
    """Lists, by config field, how the identity of stored features differs from `identity`."""
    differences = []
    for field, old in description.identity.items():
        new = getattr(identity, field, old)
        if old == new:
            continue
        if field in named:
            old, new = description.handles.get(field, ""), named[field]
        how = f"not {new!r}" if old != new else "which has changed since"
        differences.append(f"config.{_CONFIG_FIELDS[field]}={old!r}, {how}")
    return differences
