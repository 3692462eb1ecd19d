"""A run's folder, and the config that it belongs to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from xmcgan import config as config_lib
from xmcgan import config_json
from xmcgan.config import Config
from xmcgan.files import write_text
from xmcgan.training import checkpoint_files

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
            return config_json.from_json(file.read())
        except ValueError as error:
            raise ValueError(f"{path} is not the config of a run: {error}") from error


def check_workdir(workdir: str, config: Config) -> None:
    """Checks that `workdir` is free, or the folder of this config's run.

    Raises:
      ValueError: the folder belongs to a run of another config; names the first field that differs.
    """
    if not os.path.exists(config_path(workdir)):
        return
    begun = read_config(workdir)
    former = config_lib.flatten(begun)
    for field, value in config.changes(since=begun).items():
        if not _is_free(field, config):
            raise ValueError(
                f"{workdir} holds a run with config.{field}={former[field]!r}, not {value!r}: "
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
    write_text(path, config_json.to_json(config))


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


def _is_free(field: str, config: Config) -> bool:
    """Whether a run of this config may change the field when it is resumed, see `config.Setting`."""
    if field == "training.micro_batches" and config.training.micro_batch_statistics == "micro_batch":
        return False
    if field.startswith("image_encoder.") and not config.uses_image_encoder:
        return True
    return field != "dataset" and config_lib.settings()[field].free
