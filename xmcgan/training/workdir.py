"""The folder of a run, and the run's config in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from xmcgan import config as config_lib
from xmcgan import config_json, handles, locks, text_files
from xmcgan.config import Config
from xmcgan.files import check_writable, write_text
from xmcgan.training import checkpoint_files, cluster

# Parts of the system's error messages, in lower case, and what to do about them.
_REMEDIES = {
    ("no space left", "quota exceeded", "file too large"): "free some space there",
    ("read-only file system", "permission denied", "not permitted"): "make it writable again",
    ("no such file", "stale", "not connected", "not a directory"): "restore the folder, with everything that was in it",
}


def config_path(workdir: str) -> str:
    """Returns the path of a run's config."""
    return os.path.join(workdir, "config.json")


def read_config(workdir: str) -> Config:
    """Reads the config of a run.

    Raises:
      FileNotFoundError: there is no run in `workdir`.
      ValueError: the run's config cannot be read, or names a network at an unknown address.
    """
    config = _read_config(workdir)
    handles.check_addresses(config, config_path(workdir))
    return config


def _read_config(workdir: str) -> Config:
    path = config_path(workdir)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"no training run in {workdir} (it has no config.json): train one with "
            f"python -m xmcgan.train --dataset=... --workdir={workdir}"
        )
    try:
        return config_json.from_json(text_files.read_bytes(path))
    except ValueError as error:
        raise ValueError(f"{path} is not the config of a run: {error}") from error


def check_workdir(workdir: str, config: Config) -> None:
    """Checks that `workdir` has no run yet, or a run of this config.

    Raises:
      ValueError: the folder belongs to a run of another config; names the first field that differs.
    """
    if not os.path.exists(config_path(workdir)):
        return
    existing = _read_config(workdir)
    existing_values = config_lib.flatten(existing)
    for field, value in config.changes(since=existing).items():
        if not _may_change(field, config):
            raise ValueError(
                f"{workdir} holds a run with config.{field}={existing_values[field]!r}, not {value!r}: "
                "give another --workdir, or the config that the run began with"
            )


def claim_workdir(workdir: str, config: Config) -> None:
    """Makes `workdir` the folder of a run of this config, and writes the config to it.

    Raises:
      ValueError: see `check_workdir`.
    """
    check_workdir(workdir, config)
    os.makedirs(workdir, exist_ok=True)
    path = config_path(workdir)
    write_text(path, config_json.to_json(config))


@contextlib.contextmanager
def held(workdir: str) -> Iterator[None]:
    """Makes `workdir` if it is missing, and keeps other processes from training in it.

    Raises:
      InUseError: another process trains there.
    """
    with _explain_in_use():
        lock = contextlib.ExitStack()
        lock.enter_context(locks.locked(workdir, wait=False))
    with lock:
        yield


def check_free(workdir: str) -> None:
    """Checks that `workdir` can be written to, and that no other process trains there.

    Raises:
      InUseError: another process trains there.
      OSError: there can be no such folder, or it may not be written to.
    """
    check_writable(workdir)
    with _explain_in_use():
        locks.check_free(os.path.join(workdir, locks.FILE))


@contextlib.contextmanager
def _explain_in_use() -> Iterator[None]:
    try:
        yield
    except locks.InUseError as error:
        raise locks.InUseError(f"{error}: wait until it has ended, stop it, or give another --workdir") from error


def checkpoint_folder(workdir: str) -> str:
    """Returns the folder of a run's checkpoints."""
    return os.path.join(workdir, "checkpoints")


@contextlib.contextmanager
def explain_write_errors(what: str, workdir: str) -> Iterator[None]:
    """Explains errors of writing into a run's folder.

    A folder that has vanished, perhaps because a disk was unmounted, is an error: it must not be made again, empty.

    Args:
      what: what is being written, in words.
      workdir: the run's folder, in which the folder of checkpoints has been made.

    Raises:
      OSError: says in one line what, where, why, what to do, and from which checkpoint the run can resume.
    """
    folder = checkpoint_folder(workdir)
    try:
        if not os.path.isdir(folder):
            raise FileNotFoundError("no such file or directory: it was there when the run began")
        yield
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, tf.errors.OpError) and cluster.is_lost_worker(error):
            raise  # Saving is a collective operation, and the disk has nothing to do with this.
        raise OSError(f"cannot write {what} in {workdir}: {_explain(error)}; {_last_good(folder)}") from error


def _explain(error: OSError | tf.errors.OpError) -> str:
    said = getattr(error, "strerror", None) or (str(error).strip() or type(error).__name__).splitlines()[0]
    # TensorFlow adds the file's name before the message, and the op's name after it.
    said = said.rpartition("; ")[2].partition(" [Op:")[0]
    remedies = [remedy for words, remedy in _REMEDIES.items() if any(word in said.lower() for word in words)]
    return f"{said}: {remedies[0] if remedies else 'check the disk'}"


def _last_good(folder: str) -> str:
    paths = checkpoint_files.listed(folder)
    if not paths:
        return "there is no checkpoint"
    return f"{paths[-1]} is the last good checkpoint, and the same command resumes from it"


def _may_change(field: str, config: Config) -> bool:
    """Tells whether a resumed run of this config may change the field, see `config.Setting`."""
    if field == "training.micro_batches" and config.training.micro_batch_statistics == "micro_batch":
        return False
    if field.startswith("image_encoder.") and not config.uses_image_encoder:
        return True
    return field != "dataset" and config_lib.settings()[field].may_change
