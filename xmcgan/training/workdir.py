"""A run's folder, and the config that it belongs to."""

from __future__ import annotations

import os

from xmcgan import config as config_lib
from xmcgan.config import Config
from xmcgan.config_checks import uses_image_encoder

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
