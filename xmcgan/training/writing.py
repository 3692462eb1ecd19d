"""Writing into a run's folder while it trains: one line for all that a disk can do to it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from xmcgan.training import checkpoint_files

# What the system says, in small letters, and what helps.
_REMEDIES = {
    ("no space left", "quota exceeded", "file too large"): "free some space there",
    ("read-only file system", "permission denied", "not permitted"): "make it writable again",
    ("no such file", "stale", "not connected", "not a directory"): "bring the folder back, with all that was in it",
}


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
