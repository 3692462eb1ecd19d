"""The checkpoints of a run: the newest ones, those kept for good, and the best one in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import logging as std_logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
import tensorflow as tf
from absl import logging

from xmcgan import handles, text_files
from xmcgan.files import READ_ONLY, remove_temporary, replaced, temporary_path
from xmcgan.literal_paths import literal_path
from xmcgan.temporary_folders import temporary_folder
from xmcgan.training import checkpoint_files, half_weights
from xmcgan.training.checkpoint_files import step_of
from xmcgan.training.workdir import checkpoint_folder as _folder
from xmcgan.training.workdir import explain_write_errors

BEST = "best"
_BEST_NOTE = "best.json"
_HELD = "held"


class _BestNote(msgspec.Struct):
    """The facts about the best checkpoint that are read again."""

    checkpoint: Annotated[str, msgspec.Meta(pattern=r"^step-[0-9]{1,18}\Z")]  # A name, never a path.
    value: float = 0.0
    protocol: str = ""


class Checkpoints:
    """Writes and restores the checkpoints of a training run, in `workdir/checkpoints`."""

    def __init__(self, workdir: str, state: tf.train.Checkpoint, max_to_keep: int, keep_every: int = 0):
        """Makes the folder of the checkpoints, if it is missing.

        Args:
          workdir: the run's folder.
          state: the state to save and restore; has a variable `step`.
          max_to_keep: how many of the newest checkpoints are kept.
          keep_every: checkpoints of steps that are multiples of this are kept for good; 0: none.
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
        """Returns the note beside the newest checkpoint; empty if there is none."""
        return checkpoint_files.read_note(self.latest) if self.latest else {}

    def write_note(self, note: Mapping[str, Any]) -> None:
        """Replaces the note beside the newest checkpoint, if there is a checkpoint."""
        with explain_write_errors("the note of the newest checkpoint", self._workdir):
            if self.latest:
                checkpoint_files.write_note(self.latest, note)

    def restore_latest(self, tidy: bool = True) -> bool:
        """Restores the state from the newest intact checkpoint; returns False if there are no checkpoints.

        Damaged checkpoints are skipped with a warning, and their steps are trained again.

        Args:
          tidy: whether to mark damaged checkpoints, and to remove what a killed run was writing.

        Raises:
          ValueError: all checkpoints are damaged, or the newest intact one belongs to other networks.
        """
        path, damaged = checkpoint_files.newest_intact(_folder(self._workdir))
        if tidy:
            checkpoint_files.clear_temporary(_folder(self._workdir))
            remove_temporary(_folder(self._workdir))
        if path is None:
            return False
        _warn_of(damaged, path)
        with _explain_restore_errors(path):
            self._state.restore(literal_path(path)).assert_consumed()
        for other, _ in damaged if tidy else ():
            checkpoint_files.mark_damaged(other)
        logging.info("restored %s", path)
        return True

    def save(self, note: Mapping[str, Any] | None = None) -> str:
        """Writes a checkpoint of the current state, and removes old ones.

        Args:
          note: values to keep beside the checkpoint, as JSON.

        Returns:
          The checkpoint's path.

        Raises:
          OSError: the disk is full or read-only, or the folder has vanished; earlier checkpoints are unchanged.
        """
        step = int(self._state.step.numpy())
        # TensorFlow counts the saves in this variable, which every checkpoint since the first version contains. It is
        # set to the step, so that checkpoints do not depend on how often the run was stopped.
        self._state.save_counter.assign(step)
        path = os.path.join(_folder(self._workdir), f"step-{step}")
        with explain_write_errors(f"the checkpoint of step {step}", self._workdir):
            checkpoint_files.write(self._state, path, note)
            self._remove_old(step)
        return path

    def _remove_old(self, step: int) -> None:
        folder = _folder(self._workdir)
        # Checkpoints of later steps are not part of this run's past: they are not counted, and are kept.
        paths = [path for path in checkpoint_files.listed(folder) if step_of(path) <= step]
        for path in paths[: -self._max_to_keep]:
            if not self._keep_every or step_of(path) % self._keep_every:
                checkpoint_files.remove(path)
        checkpoint_files.remove_incomplete(folder, step)


def newest(workdir: str) -> str | None:
    """Returns the path of a run's newest checkpoint, intact or not; None if there is none."""
    paths = checkpoint_files.listed(_folder(workdir))
    return paths[-1] if paths else None


def find(workdir: str, which: str = "latest") -> str:
    """Finds one of a run's checkpoints.

    Args:
      workdir: the run's folder.
      which: 'latest' (the newest intact one; damaged ones cause a warning), 'best' (by FID, see `keep_best`), or a step
        such as '5000'.

    Returns:
      The checkpoint's path, as TensorFlow names it (without '.index').

    Raises:
      FileNotFoundError: there is no such checkpoint; lists those that exist.
      ValueError: `which` is none of these, or all checkpoints are damaged.
    """
    folder = _folder(workdir)
    if which == "latest":
        path, damaged = checkpoint_files.newest_intact(folder)
        _warn_of(damaged, path)
        remedy = "train until the first checkpoint is written"
    elif which == BEST:
        path = _best(workdir)
        remedy = f"python -m eval.evaluate --workdir={workdir} keeps the best one by FID"
        if handles.is_of_package(workdir):
            remedy = "the models of this package have one checkpoint each, so leave out --checkpoint"
    elif re.fullmatch(r"[0-9]{1,18}", which):
        kept = {step_of(kept_path): kept_path for kept_path in find_all(workdir)}
        path = kept.get(int(which))
        remedy = f"the steps kept are {', '.join(map(str, kept)) or 'none'}"
    else:
        raise ValueError(f"checkpoint '{which}': give 'latest', 'best' or a step")
    if path is None:
        name = {"latest": "no checkpoint", BEST: "no best checkpoint"}.get(which, f"no checkpoint of step {which}")
        raise FileNotFoundError(f"{name} in {folder} yet: {remedy}")
    return path


def find_all(workdir: str) -> list[str]:
    """Returns the paths of all checkpoints that a run has kept, the best one included, sorted by step."""
    best = _best(workdir)
    # If the best one is also among the run's own, the run's own path is returned.
    found = [*([best] if best else []), *checkpoint_files.listed(_folder(workdir))]
    return [path for _, path in sorted({step_of(path): path for path in found}.items())]


def restore_generator(path: str, generator: tf.keras.Model) -> int:
    """Restores the averaged weights of a checkpoint into a generator, see `restore_networks`."""
    return restore_networks(path, ema_generator=generator)


def restore_networks(path: str, **networks: tf.keras.Model) -> int:
    """Restores some of a checkpoint's networks, of 32 or 16 bits.

    Args:
      path: of the checkpoint, see `find`.
      **networks: built networks of the run's config, by their names in `TrainState`.

    Returns:
      The step of the checkpoint.

    Raises:
      ValueError: the checkpoint is damaged, or belongs to other networks.
    """
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    with _explain_restore_errors(path):
        halves = {}
        if half_weights.are_in(path):
            halves = {name: half_weights.halve(network) for name, network in networks.items()}
        trackables = {name: half.trackable for name, half in halves.items()} or networks
        status = tf.train.Checkpoint(step=step, **trackables).read(literal_path(path))
        status.expect_partial().assert_existing_objects_matched()
    for half in halves.values():
        half.write_back()
    return int(step.numpy())


@contextlib.contextmanager
def held(workdir: str, path: str) -> Iterator[str]:
    """Links a checkpoint into a folder of its own while it is in use, in case the run removes it meanwhile.

    Args:
      workdir: the run's folder.
      path: of the checkpoint, see `find`.

    Yields:
      The path of the linked checkpoint; where the run's folder cannot be written to, that of the checkpoint itself.

    Raises:
      FileNotFoundError: the run has removed the checkpoint already.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(_folder(workdir), _HELD))
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
        else:
            linked = _link(path, folder)
            stack.enter_context(_named(path, linked))
            path = linked
        yield path


@contextlib.contextmanager
def _named(path: str, linked: str) -> Iterator[None]:
    """Names a checkpoint, rather than its link, in errors."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error).replace(linked, path)) from error


def keep_best(workdir: str, path: str, note: Mapping[str, Any]) -> str:
    """Keeps a checkpoint as the run's best, in `checkpoints/best/`, where it replaces the previous best.

    Args:
      workdir: the run's folder.
      path: of the checkpoint, see `find`; the run may remove its own copy later.
      note: facts about the checkpoint, such as its score; written to `best.json` beside it.

    Returns:
      The path of the copy in `checkpoints/best/`.
    """
    folder = os.path.join(_folder(workdir), BEST)
    kept = _link(path, folder)
    name = os.path.basename(kept)
    note_path = os.path.join(folder, _BEST_NOTE)
    with replaced(note_path) as file:
        json.dump({"checkpoint": name, "step": step_of(path), **note}, file, indent=2)
    # The note now names the new checkpoint; files of the previous one can go.
    for other in os.listdir(folder):
        if other != _BEST_NOTE and not other.startswith(f"{name}."):
            os.remove(os.path.join(folder, other))
    return kept


def _link(path: str, folder: str) -> str:
    """Links the files of a checkpoint into a folder; returns the checkpoint's path there.

    The links are hard links where the disk supports them: these take space only after the run has removed its own
    files. Elsewhere the files are copied.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    files = checkpoint_files.files_of(path)
    for file in files:
        target = os.path.join(folder, os.path.basename(file))
        if os.path.exists(target) and os.path.samefile(file, target):
            continue
        with temporary_path(target) as temporary:
            temporary.unlink(missing_ok=True)  # `os.link` does not replace files.
            try:
                os.link(file, temporary)
            except FileNotFoundError as error:
                raise _removed(path) from error
            except OSError:
                shutil.copyfile(file, temporary)
    if not (files and files[-1].endswith(".index")):
        raise _removed(path)
    return os.path.join(folder, os.path.basename(path))


def _removed(path: str) -> FileNotFoundError:
    return FileNotFoundError(f"{path} is no more: its run has removed it meanwhile; name another checkpoint")


def read_best(workdir: str) -> dict[str, Any] | None:
    """Returns what `keep_best` noted about a run's best checkpoint; None if there is none.

    Raises:
      ValueError: the note is damaged.
    """
    folder = os.path.join(_folder(workdir), BEST)
    path = os.path.join(folder, _BEST_NOTE)
    if not os.path.exists(path):
        return None
    with text_files.advice(f"remove {folder}, and the best checkpoint will be chosen again"):
        note = text_files.read_json(path, dict[str, Any])
        text_files.check(note, _BestNote, path)
    return note


def _best(workdir: str) -> str | None:
    note = read_best(workdir)
    return os.path.join(_folder(workdir), BEST, note["checkpoint"]) if note else None


def _warn_of(damaged: list[tuple[str, str]], taken: str | None) -> None:
    for path, reason in damaged:
        logging.warning("%s is damaged (%s): using %s instead", path, reason, taken)


def _is_news(record: std_logging.LogRecord) -> bool:
    """Tells whether a line of TensorFlow's is not about a value that was not restored.

    After a restore that failed, and that has been explained, there is such a line for each value, much later, when the
    objects are deleted.
    """
    return "checkpoint could not be found" not in record.getMessage() and "unrestored" not in record.getMessage()


@contextlib.contextmanager
def _explain_restore_errors(path: str) -> Iterator[None]:
    """Turns TensorFlow's errors about a checkpoint that cannot be restored into one line."""
    try:
        yield
    except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
        tf.get_logger().addFilter(_is_news)
        damage = checkpoint_files.damage(path)
        if damage:
            raise ValueError(f"cannot restore {path}: it is damaged ({damage}): choose another checkpoint") from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"cannot restore {path}: it is intact, but belongs to other networks than the config describes ({reason}): "
            "use the version and the config that it was trained with"
        ) from error
