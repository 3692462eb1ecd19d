"""The checkpoints of a run: the newest, those kept for good, and apart from them the best."""

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

from xmcgan.files import replaced, temporary_path
from xmcgan.training import checkpoint_files
from xmcgan.training.checkpoint_files import step_of
from xmcgan.training.workdir import checkpoint_folder as _folder
from xmcgan.training.workdir import writing

BEST = "best"
_BEST_NOTE = "best.json"
_HELD = "held"


class Checkpoints:
    """The checkpoints of a run under `workdir/checkpoints`, as its training writes and restores them."""

    def __init__(self, workdir: str, state: tf.train.Checkpoint, max_to_keep: int, keep_every: int = 0):
        """Makes their folder, if it is missing.

        Args:
          workdir: the run's folder.
          state: what is saved; has a variable `step`.
          max_to_keep: the newest that are kept.
          keep_every: those of multiples of so many steps are kept for good; 0: none.
        """
        self._workdir = workdir
        self._state = state
        self._max_to_keep = max_to_keep
        self._keep_every = keep_every
        os.makedirs(_folder(workdir), exist_ok=True)

    @property
    def latest(self) -> str | None:
        """The path of the newest checkpoint; None if there is none."""
        return newest(self._workdir)

    def read_note(self) -> dict[str, Any]:
        """What is noted beside the newest checkpoint; empty if nothing is."""
        return checkpoint_files.read_note(self.latest) if self.latest else {}

    def write_note(self, note: Mapping[str, Any]) -> None:
        """Puts another note in the place of the one beside the newest checkpoint, if there is any."""
        with writing("a note of the newest checkpoint", self._workdir):
            if self.latest:
                checkpoint_files.write_note(self.latest, note)

    def restore_latest(self, tidy: bool = True) -> bool:
        """Brings the state to the newest intact checkpoint; returns False if there are no checkpoints.

        Damaged ones are passed over, with a warning: the steps that they were of are trained again.

        Args:
          tidy: set damaged checkpoints aside, and remove what a killed run was writing.

        Raises:
          ValueError: all checkpoints are damaged, or the newest intact one is of other networks.
        """
        path, damaged = checkpoint_files.newest_intact(_folder(self._workdir))
        if tidy:
            checkpoint_files.clear_temporary(_folder(self._workdir))
        if path is None:
            return False
        _warn_of(damaged, path)
        with _explained(path):
            self._state.restore(path).assert_consumed()
        for other, _ in damaged if tidy else ():
            checkpoint_files.set_aside(other)
        logging.info("restored %s", path)
        return True

    def save(self, note: Mapping[str, Any] | None = None) -> str:
        """Writes a checkpoint of the state as it is, and removes those that have grown old.

        Args:
          note: what is to be kept beside it, as JSON.

        Returns:
          Its path.

        Raises:
          OSError: the disk is full or read-only, or the folder has vanished; the checkpoints before are as they were.
        """
        step = int(self._state.step.numpy())
        # TensorFlow's count of savings, in every checkpoint since the first version: here the step, so that a
        # checkpoint does not tell how often its run was stopped.
        self._state.save_counter.assign(step)
        path = os.path.join(_folder(self._workdir), f"step-{step}")
        with writing(f"the checkpoint of step {step}", self._workdir):
            checkpoint_files.write(self._state, path, note)
            self._remove_old(step)
        return path

    def _remove_old(self, step: int) -> None:
        folder = _folder(self._workdir)
        # Later ones are none of this run's past: they count for nothing and stay.
        paths = [path for path in checkpoint_files.listed(folder) if step_of(path) <= step]
        for path in paths[: -self._max_to_keep]:
            if not self._keep_every or step_of(path) % self._keep_every:
                checkpoint_files.remove(path)
        checkpoint_files.remove_remains(folder, step)


def newest(workdir: str) -> str | None:
    """The path of a run's newest checkpoint, intact or not; None if there is none."""
    paths = checkpoint_files.listed(_folder(workdir))
    return paths[-1] if paths else None


def find(workdir: str, which: str = "latest") -> str:
    """The path of one of a run's checkpoints, as TensorFlow names it (without '.index').

    Args:
      workdir: the run's folder.
      which: 'latest' (the newest intact one; damaged ones are told of), 'best' (by FID, see `keep_best`), or a step
        such as '5000'.

    Raises:
      FileNotFoundError: there is no such checkpoint; tells which there are.
      ValueError: `which` is neither a word nor a step, or all checkpoints are damaged.
    """
    folder = _folder(workdir)
    if which == "latest":
        path, damaged = checkpoint_files.newest_intact(folder)
        _warn_of(damaged, path)
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
    # Of two of a step, the run's own is taken.
    found = [*([best] if best else []), *checkpoint_files.listed(_folder(workdir))]
    return [path for _, path in sorted({step_of(path): path for path in found}.items())]


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
    with replaced(note_path) as file:
        json.dump({"checkpoint": name, "step": step_of(path), **note}, file, indent=2)
    # From here on this one is the best.
    for other in os.listdir(folder):
        if other != _BEST_NOTE and not other.startswith(f"{name}."):
            os.remove(os.path.join(folder, other))
    return kept


def _link(path: str, folder: str) -> str:
    """Puts the files of a checkpoint into a folder as well; returns its path there.

    As hard links where the disk allows: they take room only when the run has removed its own.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    for file in checkpoint_files.files_of(path):
        target = os.path.join(folder, os.path.basename(file))
        if os.path.exists(target) and os.path.samefile(file, target):
            continue
        with temporary_path(target) as temporary:
            temporary.unlink(missing_ok=True)  # `os.link` replaces nothing.
            try:
                os.link(file, temporary)
            except OSError:
                shutil.copyfile(file, temporary)
    return os.path.join(folder, os.path.basename(path))


def read_best(workdir: str) -> dict[str, Any] | None:
    """What `keep_best` noted of a run's best checkpoint; None if there is none."""
    path = os.path.join(_folder(workdir), BEST, _BEST_NOTE)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _best(workdir: str) -> str | None:
    note = read_best(workdir)
    return os.path.join(_folder(workdir), BEST, note["checkpoint"]) if note else None


def _warn_of(damaged: list[tuple[str, str]], taken: str | None) -> None:
    for path, reason in damaged:
        logging.warning("%s is damaged (%s): %s is taken in its place", path, reason, taken)


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Puts into one line what TensorFlow says of a checkpoint that cannot be restored."""
    try:
        yield
    except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
        damage = checkpoint_files.damage(path)
        if damage:
            raise ValueError(f"cannot restore {path}: it is damaged ({damage}): choose another one") from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"cannot restore {path}: it is intact, but of other networks than the config describes ({reason}): "
            "take it up with the version and the config that it was trained with"
        ) from error
