"""Which runs the paper's rows come to: one for each seed, and the same one for rows that are the same experiment."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from data_pipelines import datasets
from experiments.ablation.paper_rows import TABLES
from experiments.ablation.tables import config_of, find
from xmcgan import config as config_lib
from xmcgan.config import Config
from xmcgan.config_checks import validate
from xmcgan.files import replaced
from xmcgan.training.workdir import check_workdir

FINISHED = "finished.json"  # Written last: says that a run has been trained and evaluated.


class Job(NamedTuple):
    """A training run and its evaluation."""

    rows: list[str]  # The rows asked for that it stands for, such as 'table4/s_w'
    config: Config
    folder: str

    @property
    def result_path(self) -> str:
        """Where the evaluation of its last step is."""
        return os.path.join(self.folder, "eval", f"{self.config.training.num_steps}.json")

    def is_finished(self) -> bool:
        """Whether it has been trained and evaluated.

        Raises:
          ValueError: another experiment has, or for longer, in its folder.
        """
        check_workdir(self.folder, self.config)
        path = os.path.join(self.folder, FINISHED)
        if not os.path.exists(path):
            return False
        with open(path, encoding="utf-8") as file:
            steps = json.load(file)["steps"]
        if steps > self.config.training.num_steps:
            raise ValueError(
                f"{self.folder} was trained for {steps} steps, more than the {self.config.training.num_steps} asked "
                "for: ask for as many images, or give another --workdir"
            )
        return steps == self.config.training.num_steps and os.path.exists(self.result_path)

    def finish(self) -> None:
        """Notes that it is finished."""
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
) -> list[Job]:
    """The runs of rows.

    Args:
      rows: full names, see `tables.find`.
      workdir: folder of all runs.
      dataset: to train on; None: what the paper did.
      seeds: runs of each row, with `training.seed` 0, 1, ...
      num_images: training images that each run draws, whatever its batch and update rule: its budget.
      shared: fields of the config by dotted name, the same in all rows.

    Returns:
      The runs, in the order of the rows, those of the first seed first.

    Raises:
      ValueError: there is no such row, or a field cannot be set so.
    """
    jobs: dict[str, Job] = {}
    for seed in range(seeds):
        for name in rows:
            table, row = find(name)
            on = dataset or table.dataset
            config = _with_budget(config_of(table, row, on).with_fields(shared or {}), num_images, seed)
            folder = os.path.join(folder_of(name, workdir, on), f"seed_{seed}")
            if folder in jobs:
                jobs[folder].rows.append(name)
            else:
                jobs[folder] = Job([name], config, folder)
    return list(jobs.values())


def folder_of(name: str, workdir: str, dataset: str) -> str:
    """Where the runs of a row are, those of other rows that are the same experiment among them: 'seed_0', ... in there.

    Args:
      name: its full name.
      workdir: folder of all runs.
      dataset: that it is trained on.
    """
    return os.path.join(workdir, dataset, _first_of_its_kind(name, dataset))


def default_budget(dataset: str | None) -> int:
    """Training images of a run: 1000 passes over COCO-14 for photographs; on a drawn dataset what its preset draws.

    Args:
      dataset: to train on; None: what the paper did.
    """
    if dataset and datasets.get(dataset).is_drawn:
        return images_of(datasets.preset(dataset))
    return 1000 * 82_783


def images_of(config: Config) -> int:
    """Training images that a run draws."""
    return config.training.num_steps * config.training.images_per_iteration


def parse_fields(settings: Sequence[str]) -> dict[str, Any]:
    """Reads fields as the command line has them: ['training.log_every=100'] -> {'training.log_every': 100}.

    Raises:
      ValueError: there is no such field, or the value is none of its type.
    """
    fields = config_lib.flatten(Config())
    parsed = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if name not in fields or name == "dataset" or not separator:
            raise ValueError(f"'{setting}' sets no field of the config: write it such as training.log_every=100")
        kind = type(fields[name])
        try:
            parsed[name] = {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"'{setting}': {name} takes a value of type {kind.__name__}") from error
    return parsed


def _with_budget(config: Config, num_images: int, seed: int) -> Config:
    options = config.training
    calls = math.ceil(num_images / (options.images_per_iteration * options.steps_per_call))
    return validate(config.with_fields({"training.num_steps": calls * options.steps_per_call, "training.seed": seed}))


def _first_of_its_kind(name: str, dataset: str) -> str:
    """The first of all rows that is the same experiment on this dataset, whichever were asked for."""
    config = config_of(*find(name), dataset)
    for table in TABLES.values():
        if not table.is_ablation and table.dataset != dataset:
            continue  # Its row is named after another dataset.
        for row in table.rows:
            if config_of(table, row, dataset) == config:
                return f"{table.name}/{row.name}"
    raise AssertionError(name)
