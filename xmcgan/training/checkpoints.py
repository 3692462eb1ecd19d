"""The checkpoints of a run: the newest, and apart from them the best."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
import tensorflow as tf
from absl import logging

BEST = "best"
_BEST_NOTE = "best.json"
_HELD = "held"


class Checkpoints:
    """The newest checkpoints of a run under `workdir/checkpoints`."""

    def __init__(self, workdir: str, state: tf.train.Checkpoint, max_to_keep: int):
        self._state = state
        self._manager = tf.train.CheckpointManager(
            state, _folder(workdir), max_to_keep, step_counter=state.step, checkpoint_name="step"
        )

    @property
    def latest(self) -> str | None:
        """The path of the newest checkpoint; None if there is none."""
        return _newest(self._manager.directory)

    def restore_latest(self) -> bool:
        """Brings the state to the newest checkpoint; returns False if there is none.

        Raises:
          ValueError: the checkpoint is damaged or of other networks than the config describes.
        """
        path = self.latest
        if path is None:
            return False
        with _explained(path):
            self._state.restore(path).assert_consumed()
        logging.info("restored %s", path)
        return True

    def save(self) -> str:
        """Writes a checkpoint of the state as it is (TensorFlow writes aside and renames); returns its path."""
        return self._manager.save(checkpoint_number=self._state.step)


def find(workdir: str, which: str = "latest") -> str:
    """The path of one of a run's checkpoints, as TensorFlow names it (without '.index').

    Args:
      workdir: the run's folder.
      which: 'latest', 'best' (by FID, see `keep_best`), or a step such as '5000'.

    Raises:
      FileNotFoundError: there is no such checkpoint; tells which there are.
      ValueError: `which` is neither a word nor a step.
    """
    folder = _folder(workdir)
    if which == "latest":
        path = _newest(folder)
        remedy = "train until the first one is written"
    elif which == BEST:
        path = _best(workdir)
        remedy = f"python -m eval.evaluate --workdir={workdir} keeps the best by FID"
    elif which.isdigit():
        kept = {step_of(kept_path): kept_path for kept_path in find_all(workdir)}
        path = kept.get(int(which))
        remedy = f"there are {', '.join(map(str, kept)) or 'none'}"
    else:
        raise ValueError(f"checkpoint '{which}': give 'latest', 'best' or a step")
    if path is None:
        name = {"latest": "no checkpoint", BEST: "no best checkpoint"}.get(which, f"no checkpoint of step {which}")
        raise FileNotFoundError(f"{name} in {folder} yet: {remedy}")
    return path


def find_all(workdir: str) -> list[str]:
    """The paths of all checkpoints that a run has kept, by their steps, the best one among them."""
    best = _best(workdir)
    found = [*([best] if best else []), *_kept(_folder(workdir))]  # Of two of a step, the run's own is taken.
    return [path for _, path in sorted({step_of(path): path for path in found}.items())]


def step_of(path: str) -> int:
    """The step that a checkpoint's name tells."""
    return int(os.path.basename(path).rpartition("-")[2])


def restore_generator(path: str, generator: tf.keras.Model) -> int:
    """Gives a generator the averaged weights of a checkpoint.

    Args:
      path: of the checkpoint, see `find`.
      generator: a built generator of the run's config.

    Returns:
      The step of the checkpoint.

    Raises:
      ValueError: the checkpoint is damaged or of another generator.
    """
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    with _explained(path):
        status = tf.train.Checkpoint(ema_generator=generator, step=step).restore(path)
        status.expect_partial().assert_existing_objects_matched()
    return int(step.numpy())


@contextlib.contextmanager
def held(workdir: str, path: str) -> Iterator[str]:
    """Holds a checkpoint as long as it is worked with, should the run remove it meanwhile.

    Args:
      workdir: the run's folder.
      path: of the checkpoint, see `find`.

    Yields:
      The path of what is held.
    """
    for left in glob.glob(os.path.join(glob.escape(_folder(workdir)), f"{_HELD}.*")):  # By a killed process.
        if not psutil.pid_exists(int(left.rpartition(".")[2])):
            shutil.rmtree(left, ignore_errors=True)
    folder = os.path.join(_folder(workdir), f"{_HELD}.{os.getpid()}")
    try:
        yield _link(path, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep_best(workdir: str, path: str, note: Mapping[str, Any]) -> str:
    """Keeps a checkpoint apart, in `checkpoints/best/` and in the place of the one before; the run may remove its own.

    Args:
      workdir: the run's folder.
      path: of the checkpoint, see `find`.
      note: what is to be known of it, such as its score; written to `best.json` beside it.

    Returns:
      The path of what was kept.
    """
    folder = os.path.join(_folder(workdir), BEST)
    kept = _link(path, folder)
    name = os.path.basename(kept)
    note_path = os.path.join(folder, _BEST_NOTE)
    with open(f"{note_path}.incomplete", "w", encoding="utf-8") as file:
        json.dump({"checkpoint": name, "step": step_of(path), **note}, file, indent=2)
    os.replace(f"{note_path}.incomplete", note_path)  # From here on this one is the best.
    for other in os.listdir(folder):
        if other != _BEST_NOTE and not other.startswith(f"{name}."):
            os.remove(os.path.join(folder, other))
    return kept


def _link(path: str, folder: str) -> str:
    """Puts the files of a checkpoint into a folder as well; returns its path there.

    As hard links where the disk allows: they take room only when the run has removed its own.
    """
    os.makedirs(folder, exist_ok=True)
    for file in glob.glob(f"{glob.escape(path)}.*"):
        target = os.path.join(folder, os.path.basename(file))
        if os.path.exists(target) and os.path.samefile(file, target):
            continue
        aside = f"{target}.incomplete"
        with contextlib.suppress(FileNotFoundError):
            os.remove(aside)
        try:
            os.link(file, aside)
        except OSError:
            shutil.copyfile(file, aside)
        os.replace(aside, target)
    return os.path.join(folder, os.path.basename(path))


def read_best(workdir: str) -> dict[str, Any] | None:
    """What `keep_best` noted of a run's best checkpoint; None if there is none."""
    path = os.path.join(_folder(workdir), BEST, _BEST_NOTE)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _folder(workdir: str) -> str:
    return os.path.join(workdir, "checkpoints")


def _best(workdir: str) -> str | None:
    note = read_best(workdir)
    return os.path.join(_folder(workdir), BEST, note["checkpoint"]) if note else None


def _newest(folder: str) -> str | None:
    kept = _kept(folder)
    return kept[-1] if kept else None


def _kept(folder: str) -> list[str]:
    """The checkpoints that are there, oldest first; TensorFlow goes on naming those that were removed by hand."""
    state = tf.train.get_checkpoint_state(folder)
    paths = state.all_model_checkpoint_paths if state else ()
    return [path for path in paths if tf.io.gfile.exists(f"{path}.index")]


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Puts into one line what TensorFlow says of a checkpoint that cannot be restored."""
    try:
        yield
    except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"cannot restore {path}: {reason}: remove {path}.* to fall back on the one before") from error
