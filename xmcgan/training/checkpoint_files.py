"""The files of checkpoints: written to a temporary folder, read back and renamed; listed, and checked for damage.

A checkpoint of step 20 is `step-20.index`, `step-20.data-...` and, if it has a note, `step-20.json`. It exists as long
as its index exists; the index is renamed into place last, and removed first.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from typing import Any, TypedDict

import tensorflow as tf

from xmcgan import text_files
from xmcgan.files import sync, write_text
from xmcgan.literal_paths import literal_path

# The temporary folder in which a checkpoint is written, inside the folder of checkpoints.
TEMPORARY = "incomplete"
_DAMAGED = ".damaged"

_NAME = re.compile(r"(step-(\d+))\.(index|data-\d+-of-\d+|json)")


class _Note(TypedDict, total=False):
    """The metrics of steps that have not been logged, see `summaries.PendingMetrics`."""

    steps: int
    sums: dict[str, float]


def step_of(path: str) -> int:
    """Returns the step in a checkpoint's name."""
    return int(os.path.basename(path).rpartition("-")[2])


def listed(folder: str) -> list[str]:
    """Returns the paths of the checkpoints in a folder, sorted by step; an empty list if there is no such folder."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = [match for match in map(_NAME.fullmatch, names) if match and match[3] == "index"]
    return [os.path.join(folder, match[1]) for match in sorted(found, key=lambda match: int(match[2]))]


def files_of(path: str) -> list[str]:
    """Returns the paths of a checkpoint's existing files, with the index last."""
    folder, name = os.path.split(path)
    found = [match for match in map(_NAME.fullmatch, os.listdir(folder)) if match and match[1] == name]
    found.sort(key=lambda match: (match[3] == "index", match[3]))
    return [os.path.join(folder, match[0]) for match in found]


def write(state: tf.train.Checkpoint, path: str, note: Mapping[str, Any] | None = None) -> None:
    """Writes a checkpoint, which appears only when it is complete, read back and on the disk.

    Args:
      state: the state to save.
      path: of the checkpoint; its folder must exist.
      note: values to keep beside the checkpoint, as JSON.

    Raises:
      OSError, tf.errors.OpError: the checkpoint cannot be written or read back; its files are removed.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, TEMPORARY)
    clear_temporary(folder)
    os.mkdir(temporary)
    try:
        state.write(os.path.join(temporary, name))
        if note is not None:
            with open(os.path.join(temporary, f"{name}.json"), "w", encoding="utf-8") as file:
                json.dump(note, file)
        written = files_of(os.path.join(temporary, name))
        for written_path in written:
            sync(written_path)
        reason = damage(os.path.join(temporary, name))
        if reason:
            raise OSError(f"what was written cannot be read back ({reason})")
        remove(path)  # A damaged checkpoint of the same step may have more files.
        for written_path in written:
            os.replace(written_path, os.path.join(folder, os.path.basename(written_path)))
        sync(folder)
    finally:
        clear_temporary(folder)
    # TensorFlow's own tools, and older versions of this project, read this file instead of listing the folder.
    paths = listed(folder)
    lines = [f'model_checkpoint_path: "{name}"', *(f'all_model_checkpoint_paths: "{_base(path)}"' for path in paths)]
    write_text(os.path.join(folder, "checkpoint"), "\n".join(lines) + "\n")


def write_note(path: str, note: Mapping[str, Any]) -> None:
    """Replaces the note beside a checkpoint."""
    write_text(f"{path}.json", json.dumps(note))


def read_note(path: str) -> dict[str, Any]:
    """Returns the note beside a checkpoint; empty if there is none.

    Raises:
      ValueError: it is not a note.
    """
    try:
        note = text_files.read_json(f"{path}.json", dict[str, Any])
    except FileNotFoundError:
        return {}
    text_files.check(note, _Note, f"{path}.json")
    return note


def damage(path: str) -> str | None:
    """Reads a whole checkpoint, whose tensors have checksums; returns what is wrong, or None if it is intact."""
    literal = literal_path(path)
    try:
        reader = tf.train.load_checkpoint(literal)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
        read_note(path)
    except (OSError, ValueError, IndexError, RuntimeError, tf.errors.OpError) as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0].replace(literal, path)
    return None


def newest_intact(folder: str) -> tuple[str | None, list[tuple[str, str]]]:
    """Finds the newest intact checkpoint in a folder.

    Args:
      folder: the folder of the checkpoints.

    Returns:
      The checkpoint's path, None if there are no checkpoints; and the newer, damaged ones, each with what is wrong.

    Raises:
      ValueError: there are checkpoints, but all are damaged.
    """
    damaged: list[tuple[str, str]] = []
    for path in reversed(listed(folder)):
        reason = damage(path)
        if reason is None:
            return path, damaged
        if not os.path.lexists(f"{path}.index"):  # The run has removed it meanwhile, after writing newer ones.
            return newest_intact(folder)
        damaged.append((path, reason))
    if damaged:
        path, reason = damaged[0]
        raise ValueError(
            f"no checkpoint in {folder} is intact; the newest, {path}: {reason}: restore one from a backup, or train "
            "in another --workdir"
        )
    return None, []


def mark_damaged(path: str) -> None:
    """Renames the index of a damaged checkpoint, so that it is not listed until its step is saved again."""
    with contextlib.suppress(OSError):  # On a read-only disk the checkpoint stays, and is skipped every time.
        os.replace(f"{path}.index", f"{path}.index{_DAMAGED}")


def remove(path: str) -> None:
    """Removes a checkpoint's files, if there are any."""
    for file in [*reversed(files_of(path)), f"{path}.index{_DAMAGED}"]:
        with contextlib.suppress(FileNotFoundError):
            os.remove(file)


def remove_incomplete(folder: str, step: int) -> None:
    """Removes checkpoints without an index, up to a step: those that a killed process left, and damaged ones."""
    complete = {_base(path) for path in listed(folder)}
    names = {match[1] for match in map(_NAME.fullmatch, os.listdir(folder)) if match}
    for name in names - complete:
        if step_of(name) <= step:
            remove(os.path.join(folder, name))


def clear_temporary(folder: str) -> None:
    """Removes the temporary folder, which a process that was killed while writing may have left."""
    shutil.rmtree(os.path.join(folder, TEMPORARY), ignore_errors=True)


def _base(path: str) -> str:
    return os.path.basename(path)
