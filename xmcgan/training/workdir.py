"""A run's folder, and the config that it belongs to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from xmcgan import config as config_lib
from xmcgan.config import Config
from xmcgan.config_checks import uses_image_encoder
from xmcgan.training import checkpoint_files

# Fields that a run may change when it is taken up again: they end, watch, speed or fit it, and do not touch its numbers
# but for rounding.
_FREE_FIELDS = (
    "data.cache",
    "losses.word_chunk",
    "training.micro_batches",
    "training.recompute",
    "training.xla",
    "training.epochs",
    "training.num_steps",
    "training.steps_per_call",
    "training.log_every",
    "training.sample_every",
    "training.checkpoint_every",
    "training.max_checkpoints",
    "training.keep_every",
)
_FREE_GROUPS = ("evaluation.",)
# What the system says, in small letters, and what helps.
_REMEDIES = {
    ("no space left", "quota exceeded", "file too large"): "free some space there",
    ("read-only file system", "permission denied", "not permitted"): "make it writable again",
    ("no such file", "stale", "not connected", "not a directory"): "bring the folder back, with all that was in it",
}


def config_path(workdir: str) -> str:
    """Where a run keeps its config."""
    return os.path.join(workdir, "config.json")


def read_config(workdir: str) -> Config:
    """The config of a run.

    Raises:
      FileNotFoundError: there is no run in `workdir`.
      ValueError: its config cannot be read.
    """
    path = config_path(workdir)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"no training run in {workdir} (it has no config.json): train one with "
            f"python -m xmcgan.train --dataset=... --workdir={workdir}"
        )
    with open(path, encoding="utf-8") as file:
        try:
            return config_lib.from_json(file.read())
        except ValueError as error:
            raise ValueError(f"{path} is not the config of a run: {error}") from error


def check_workdir(workdir: str, config: Config) -> None:
    """Checks that `workdir` is free, or the folder of this config's run.

    Raises:
      ValueError: the folder belongs to a run of another config; names the first field that differs.
    """
    if not os.path.exists(config_path(workdir)):
        return
    old, new = config_lib.flatten(read_config(workdir)), config_lib.flatten(config)
    free_fields, free_groups = set(_FREE_FIELDS), _FREE_GROUPS
    if config.training.micro_batch_statistics == "micro_batch":
        free_fields.remove("training.micro_batches")
    if not uses_image_encoder(config):
        free_groups += ("image_encoder.",)
    for field, value in new.items():
        if field not in free_fields and not field.startswith(free_groups) and old[field] != value:
            raise ValueError(
                f"{workdir} holds a run with config.{field}={old[field]!r}, not {value!r}: "
                "give another --workdir, or the config that the run began with"
            )


def claim_workdir(workdir: str, config: Config) -> None:
    """Makes `workdir` the folder of this config's run.

    Raises:
      ValueError: see `check_workdir`.
    """
    check_workdir(workdir, config)
    os.makedirs(workdir, exist_ok=True)
    path = config_path(workdir)
    with open(f"{path}.incomplete", "w", encoding="utf-8") as file:
        file.write(config_lib.to_json(config))
    os.replace(f"{path}.incomplete", path)


def checkpoint_folder(workdir: str) -> str:
    """Where a run keeps its checkpoints."""
    return os.path.join(workdir, "checkpoints")


@contextlib.contextmanager
def writing(what: str, workdir: str) -> Iterator[None]:
    """Explains what goes wrong while something is written into a run's folder.

    A folder that has vanished, with a disk that was unmounted perhaps, is an error: it must not be made again, empty.

    Args:
      what: is written, in words.
      workdir: the run's folder, whose folder of checkpoints has been made.

    Raises:
      OSError: says in one line what, where, why, what to do, and from which checkpoint the run can go on.
    """
    folder = checkpoint_folder(workdir)
    try:
        if not os.path.isdir(folder):
            raise FileNotFoundError("no such file or directory: it was there when the run began")
        yield
    except (OSError, tf.errors.OpError) as error:
        raise OSError(f"cannot write {what} in {workdir}: {_explain(error)}; {_last_good(folder)}") from error


def _explain(error: OSError | tf.errors.OpError) -> str:
    said = getattr(error, "strerror", None) or (str(error).strip() or type(error).__name__).splitlines()[0]
    said = said.rpartition("; ")[2].partition(" [Op:")[0]  # TensorFlow puts the file's name before, its own behind.
    remedies = [remedy for words, remedy in _REMEDIES.items() if any(word in said.lower() for word in words)]
    return f"{said}: {remedies[0] if remedies else 'see to the disk'}"


def _last_good(folder: str) -> str:
    paths = checkpoint_files.listed(folder)
    if not paths:
        return "no checkpoint is there"
    return f"{paths[-1]} is the last good checkpoint, and the same command goes on from it"
