"""Plans the runs of the paper's rows: one for each seed, shared by rows that describe the same experiment."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from data_pipelines import datasets
from experiments.ablation.paper_rows import TABLES
from experiments.ablation.tables import config_of, find
from xmcgan import config as config_lib
from xmcgan import text_files
from xmcgan.config import Config
from xmcgan.config_checks import validate
from xmcgan.files import replaced
from xmcgan.home_folder import expand_home
from xmcgan.training.workdir import check_workdir

FINISHED = "finished.json"  # Written last: marks a run as trained and evaluated.


class Finished(msgspec.Struct):
    """What `Job.finish` notes."""

    steps: int


# Fields that follow from flags of experiments.run.
_SET_BY = {"training.num_steps": "--num_pictures", "training.seed": "--seeds"}


class Job(NamedTuple):
    """A training run and its evaluation."""

    rows: list[str]  # The requested rows that share this run, such as 'table4/s_w'
    config: Config
    folder: str

    @property
    def result_path(self) -> str:
        """The path of the evaluation of the run's last step."""
        return os.path.join(self.folder, "eval", f"{self.config.training.num_steps}.json")

    def is_finished(self) -> bool:
        """Returns whether the run has been trained and evaluated.

        Raises:
          ValueError: its folder has a run of another experiment, or one that was trained for more steps.
        """
        check_workdir(self.folder, self.config)
        path = os.path.join(self.folder, FINISHED)
        if not os.path.exists(path):
            return False
        steps = text_files.read_json(path, Finished).steps
        if steps > self.config.training.num_steps:
            raise ValueError(
                f"{self.folder} was trained for {steps} steps, more than the {self.config.training.num_steps} asked "
                "for: raise --num_pictures, or give another --workdir"
            )
        return steps == self.config.training.num_steps and os.path.exists(self.result_path)

    def finish(self) -> None:
        """Marks the run as finished."""
        path = os.path.join(self.folder, FINISHED)
        with replaced(path) as file:
            json.dump({"rows": self.rows, "steps": self.config.training.num_steps}, file)


def jobs_of(
    rows: Sequence[str],
    workdir: str,
    *,
    dataset: str | None = None,
    seeds: int = 1,
    num_images: int,
    shared: Mapping[str, Any] | None = None,
    data_dir: str | None = None,
) -> list[Job]:
    """Plans the runs of rows.

    Args:
      rows: full names, see `tables.find`.
      workdir: folder of all runs.
      dataset: dataset to train on; None for the paper's.
      seeds: runs of each row, with `training.seed` 0, 1, ...
      num_images: training images of each run, whatever its batch size and update rule.
      shared: fields of the config by dotted name, to set in all rows.
      data_dir: folder of all records, see `datasets.get`.

    Returns:
      The runs: first those of seed 0 in the order of the rows, then those of seed 1, and so on.

    Raises:
      ValueError: there is no such row, or a field cannot have this value.
    """
    jobs: dict[str, Job] = {}
    for seed in range(seeds):
        for name in rows:
            table, row = find(name)
            on = dataset or table.dataset
            config = _with_budget(config_of(table, row, on, data_dir).with_fields(shared or {}), num_images, seed)
            folder = os.path.join(folder_of(name, workdir, on, data_dir), f"seed_{seed}")
            if folder in jobs:
                jobs[folder].rows.append(name)
            else:
                jobs[folder] = Job([name], config, folder)
    return list(jobs.values())


def folder_of(name: str, workdir: str, dataset: str, data_dir: str | None = None) -> str:
    """Returns the folder of a row's runs, which has one folder for each seed: 'seed_0', 'seed_1', ...

    Rows that describe the same experiment have the same folder.

    Args:
      name: full name of the row.
      workdir: folder of all runs.
      dataset: dataset of the runs.
      data_dir: folder of all records, see `datasets.get`.
    """
    return os.path.join(workdir, dataset, _first_of_its_kind(name, dataset, data_dir))


def default_budget(dataset: str | None) -> int:
    """Returns the number of a run's training images: 1000 epochs of COCO-14, or the preset's for a drawn dataset.

    Args:
      dataset: dataset to train on; None for the paper's.
    """
    if dataset and datasets.is_drawn(dataset):
        return images_of(datasets.preset(dataset))
    return 1000 * 82_783


def images_of(config: Config) -> int:
    """Returns how many training images a run draws."""
    return config.training.num_steps * config.training.images_per_iteration


def parse_fields(settings: Sequence[str]) -> dict[str, Any]:
    """Parses fields of the command line: ['training.log_every=100'] -> {'training.log_every': 100}.

    Raises:
      ValueError: there is no such field, another flag sets it, or the value does not have its type.
    """
    fields = config_lib.flatten(Config())
    parsed = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if name not in fields or name == "dataset" or not separator:
            raise ValueError(
                f"'{setting}' sets no field of the config: give a field and a value, such as training.log_every=100"
            )
        if name in _SET_BY:
            raise ValueError(f"'{setting}': {_SET_BY[name]} sets {name}")
        kind = type(fields[name])
        try:
            parsed[name] = {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"'{setting}': {name} takes a value of type {kind.__name__}") from error
        if kind is str:
            parsed[name] = expand_home(value)  # Some are paths.
    return parsed


def _with_budget(config: Config, num_images: int, seed: int) -> Config:
    options = config.training
    calls = math.ceil(num_images / (options.images_per_iteration * options.steps_per_call))
    return validate(config.with_fields({"training.num_steps": calls * options.steps_per_call, "training.seed": seed}))


@functools.cache  # It builds the configs of all rows.
def _first_of_its_kind(name: str, dataset: str, data_dir: str | None) -> str:
    """Returns the first row, requested or not, that describes the same experiment on this dataset."""
    config = config_of(*find(name), dataset, data_dir)
    for table in TABLES.values():
        if not table.is_ablation and table.dataset != dataset:
            continue  # A main result of another dataset.
        for row in table.rows:
            if config_of(table, row, dataset, data_dir) == config:
                return f"{table.name}/{row.name}"
    raise AssertionError(name)
