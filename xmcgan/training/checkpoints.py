"""A run's folder: the config that it belongs to, and its checkpoints."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from xmcgan import config as config_lib
from xmcgan.config import Config

# Fields that a run may change when it is taken up again: they end, watch or speed it, and do not touch its numbers.
_FREE_FIELDS = (
    "data.cache",
    "training.epochs",
    "training.num_steps",
    "training.steps_per_call",
    "training.log_every",
    "training.sample_every",
    "training.checkpoint_every",
    "training.max_checkpoints",
)


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
    for field, value in new.items():
        if field not in _FREE_FIELDS and old[field] != value:
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


class Checkpoints:
    """The newest checkpoints of a run under `workdir/checkpoints`."""

    def __init__(self, workdir: str, state: tf.train.Checkpoint, max_to_keep: int):
        self._state = state
        self._manager = tf.train.CheckpointManager(
            state, os.path.join(workdir, "checkpoints"), max_to_keep, step_counter=state.step, checkpoint_name="step"
        )

    def restore_latest(self) -> bool:
        """Brings the state to the newest checkpoint; returns False if there is none.

        Raises:
          ValueError: the checkpoint is damaged or of other networks than the config describes.
        """
        path = _newest(self._manager.directory)
        if path is None:
            return False
        with _explained(path):
            self._state.restore(path).assert_consumed()
        logging.info("restored %s", path)
        return True

    def save(self) -> None:
        """Writes a checkpoint of the state as it is (TensorFlow writes aside and renames)."""
        self._manager.save(checkpoint_number=self._state.step)


def restore_generator(workdir: str, generator: tf.keras.Model) -> int:
    """Gives a generator the averaged weights of a run's newest checkpoint.

    Args:
      workdir: the run's folder.
      generator: a built generator of the run's config.

    Returns:
      The step of the checkpoint.

    Raises:
      FileNotFoundError: the run has no checkpoint yet.
      ValueError: the checkpoint is damaged or of another generator.
    """
    path = _newest(os.path.join(workdir, "checkpoints"))
    if path is None:
        raise FileNotFoundError(f"no checkpoint in {workdir}/checkpoints yet: train until the first one is written")
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    with _explained(path):
        status = tf.train.Checkpoint(ema_generator=generator, step=step).restore(path)
        status.expect_partial().assert_existing_objects_matched()
    return int(step.numpy())


def _newest(folder: str) -> str | None:
    """The newest checkpoint that is there; TensorFlow goes on naming those that were removed by hand."""
    state = tf.train.get_checkpoint_state(folder)
    paths = state.all_model_checkpoint_paths if state else ()
    return next((path for path in reversed(paths) if tf.io.gfile.exists(f"{path}.index")), None)


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Puts into one line what TensorFlow says of a checkpoint that cannot be restored."""
    try:
        yield
    except (AssertionError, IndexError, ValueError, tf.errors.OpError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"cannot restore {path}: {reason}: remove {path}.* to fall back on the one before") from error
