"""Reads the finished runs of the paper's rows, and refuses runs that cannot be compared."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, Union

import numpy as np
from scipy import stats

from eval import results
from eval.score import LOWER
from experiments.ablation import tables
from experiments.ablation.jobs import FINISHED, Finished, folder_of, images_of
from experiments.ablation.paper_rows import TABLES, Row, Table
from experiments.ablation.tables import config_of, find
from xmcgan import config as config_lib
from xmcgan import text_files
from xmcgan.config import Config
from xmcgan.training.summaries import METRICS_FILE
from xmcgan.training.workdir import read_config

ACCURACY = "contrastive accuracy"  # The sentence loss's accuracy on generated images, see `Run.accuracies`.
_ACCURACY_FIELD = "g/sentence_accuracy"
_LAST = 0.1  # Final share of a run over which the contrastive accuracy is averaged.
_PAPER_NAMES = {"FD": "FID"}  # A Frechet distance with a network other than Inception is not called FID.
# The runs of a report may differ in these fields, and in the fields of their rows.
_OWN_FIELDS = ("training.seed", "training.num_steps", "training.epochs")
_SEED_FOLDER = re.compile(r"seed_(\d+)")
_RESULT_FILE = re.compile(
    r"(\d+)(?:_[0-9a-f]+)?\.json"
)  # Named with a part of its fingerprint if another result replaced it.
_CONFIDENCE = 0.95  # Confidence level for a difference of two rows.


class Run(NamedTuple):
    """A finished run."""

    folder: str
    config: Config
    scores: dict[str, float]  # Scores of its last step, by the paper's names of the metrics
    evaluations: list[tuple[int, dict[str, float]]]  # During training: images seen, and the scores at that point
    accuracies: list[tuple[int, float]]  # Images seen, and the sentence loss's accuracy on generated images, in %


class Results(NamedTuple):
    """Comparable runs for one report."""

    dataset: str
    data_dir: str | None  # Folder of all records
    images: int  # Training images of each run, up to the rounding of the last call
    runs: dict[str, list[Run]]  # By full name of the row; rows of the same experiment have the same runs
    unfinished: list[str]  # Folders of unfinished runs
    names: dict[str, str]  # Measured names of the metrics ('FD/scenes'), by the paper's names
    lower_is_better: frozenset[str]  # Metrics that are better when lower, by the paper's names
    settings: dict[str, Any]  # Fields that all runs changed in addition to their rows, by dotted name
    real: dict[str, float]  # Scores of real images

    def tables(self) -> list[Table]:
        """Returns the tables to report: those with at least two finished rows, or with one if there are no others."""
        run = {
            table.name: sum(f"{table.name}/{row.name}" in self.runs for row in table.rows) for table in TABLES.values()
        }
        enough = min(2, max(run.values()))
        return [table for table in TABLES.values() if run[table.name] >= enough]

    def base(self) -> Config:
        """Returns the config that the rows of the ablations change, with the settings of these runs."""
        config = tables.base(next(table for table in TABLES.values() if table.is_ablation), self.dataset, self.data_dir)
        config = config.with_fields(self.settings)
        steps = math.ceil(self.images / config.training.images_per_iteration)
        return config.with_fields({"training.num_steps": steps})

    def distinct(self) -> list[Run]:
        """Returns all runs, without duplicates."""
        return list({run.folder: run for runs in self.runs.values() for run in runs}.values())

    def values(self, name: str, metric: str) -> np.ndarray:
        """Returns the values of a metric for a row's runs, [seeds]."""
        return np.array([run.scores[metric] for run in self.runs.get(name, []) if metric in run.scores])

    def difference(self, better: str, worse: str, metric: str) -> Difference | None:
        """Returns how much better a row is than another; None if either was not run.

        The margin is that of a t test. It uses the standard deviation over seeds, pooled over all rows, because two or
        three seeds say little about the deviation of one row. The spread of a distance is proportional to its size,
        so distances are compared by their ratio.
        """
        ours, theirs = (self._comparable(self.values(name, metric), metric) for name in (better, worse))
        if not ours.size or not theirs.size:
            return None
        deviation, freedom = self._pooled_deviation(metric)
        error = deviation * np.sqrt(1 / ours.size + 1 / theirs.size)
        margin = error * stats.t.ppf((1 + _CONFIDENCE) / 2, freedom) if freedom else np.nan
        return Difference(float(np.mean(ours) - np.mean(theirs)), float(margin))

    def _comparable(self, values: np.ndarray, metric: str) -> np.ndarray:
        """Transforms a metric so that higher is better and the spread does not depend on the size."""
        return -np.log(values) if metric in self.lower_is_better else values

    def _pooled_deviation(self, metric: str) -> tuple[float, int]:
        """Returns the standard deviation over seeds, pooled over all rows, and its degrees of freedom."""
        by_runs = {id(runs): self._comparable(self.values(name, metric), metric) for name, runs in self.runs.items()}
        groups = [values for values in by_runs.values() if values.size > 1]
        freedom = sum(values.size - 1 for values in groups)
        squares = sum(float(np.sum((values - np.mean(values)) ** 2)) for values in groups)
        return (np.sqrt(squares / freedom) if freedom else np.nan), freedom


class Difference(NamedTuple):
    """The difference between two rows' means, see `Results.difference`."""

    value: float
    margin: float  # Smaller differences may be noise; NaN if no row has two seeds


def read(workdir: str, dataset: str, data_dir: str | None = None) -> Results:
    """Reads all finished runs.

    Args:
      workdir: folder of all runs, see `experiments.run`.
      dataset: dataset of the runs.
      data_dir: folder of all records, see `datasets.get`.

    Raises:
      FileNotFoundError: there is no finished run.
      ValueError: runs differ in more than their rows and seeds, or were evaluated in different ways.
    """
    runs, unfinished = {}, []
    by_folder: dict[str, list[Run]] = {}
    for table in TABLES.values():
        if not table.is_ablation and table.dataset != dataset:
            continue
        for row in table.rows:
            folder = folder_of(f"{table.name}/{row.name}", workdir, dataset, data_dir)
            if folder not in by_folder:
                by_folder[folder], missing = _read_seeds(folder)
                unfinished += missing
            if by_folder[folder]:
                _check_row(by_folder[folder], table, row)
                runs[f"{table.name}/{row.name}"] = by_folder[folder]
    if not runs:
        raise FileNotFoundError(
            f"no finished run on {dataset} in {workdir}: train some with "
            f"python -m experiments.run --table=4 --dataset={dataset} --workdir={workdir}"
        )
    _check_alike(runs, dataset, data_dir)
    first = next(iter(runs.values()))[0]
    last = results.read(_result_path(first.folder, first.config.training.num_steps))
    return Results(
        dataset=dataset,
        data_dir=data_dir,
        images=images_of(first.config),
        runs=runs,
        unfinished=unfinished,
        names={paper_name(score.name): score.name for score in last.scores},
        lower_is_better=frozenset(paper_name(score.name) for score in last.scores if score.better == LOWER),
        settings=_settings(next(iter(runs)), first, dataset, data_dir),
        real={paper_name(score.name): score.value for score in last.real},
    )


def _read_seeds(folder: str) -> tuple[list[Run], list[str]]:
    """Reads the finished runs of a row; returns them and the folders of the unfinished ones."""
    done, missing = [], []
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for seed in sorted(int(found[1]) for found in map(_SEED_FOLDER.fullmatch, names) if found):
        path = os.path.join(folder, f"seed_{seed}")
        if _is_finished(path):
            done.append(_read_run(path))
        else:
            missing.append(path)
    return done, missing


def _is_finished(folder: str) -> bool:
    """Returns whether a run has been trained and evaluated, and is not being trained further."""
    path = os.path.join(folder, FINISHED)
    if not os.path.exists(path):
        return False
    steps = text_files.read_json(path, Finished).steps
    return steps == read_config(folder).training.num_steps and os.path.exists(_result_path(folder, steps))


def _read_run(folder: str) -> Run:
    config = read_config(folder)
    per_step = images_of(config) // config.training.num_steps
    last = results.read(_result_path(folder, config.training.num_steps))
    evaluations = {}
    for name in os.listdir(os.path.join(folder, "eval")):
        found = _RESULT_FILE.fullmatch(name)
        if found:
            result = results.read(os.path.join(folder, "eval", name))
            if result.fingerprint == last.fingerprint:  # Scores of another protocol do not belong to this curve.
                evaluations[int(found[1])] = {paper_name(score.name): score.value for score in result.scores}
    accuracies = []
    path = os.path.join(folder, METRICS_FILE)
    for number, text in text_files.read_lines(path):
        line = text_files.parse_json(text, dict[str, Union[float, str]], f"{path}, line {number}")
        if _ACCURACY_FIELD in line:
            accuracies.append((int(line["step"]) * per_step, 100 * float(line[_ACCURACY_FIELD])))
    scores = dict(evaluations[config.training.num_steps])
    latest = [accuracy for images, accuracy in accuracies if images > (1 - _LAST) * images_of(config)]
    if latest:
        scores[ACCURACY] = float(np.mean(latest))
    curve = [(step * per_step, found) for step, found in sorted(evaluations.items())]
    return Run(folder, config, scores, curve, accuracies)


def _result_path(folder: str, step: int) -> str:
    return os.path.join(folder, "eval", f"{step}.json")


def paper_name(name: str) -> str:
    """Returns the paper's name of a metric: 'FD/scenes' -> 'FID', 'SOA-C approx./coco91' -> 'SOA-C'."""
    metric = name.split("/")[0].removesuffix(" approx.")
    return _PAPER_NAMES.get(metric, metric)


def _check_row(runs: Iterable[Run], table: Table, row: Row) -> None:
    """Refuses runs that do not match the current definition of their row."""
    for run in runs:
        values = config_lib.flatten(run.config)
        for field, value in row.changes.items():
            if values[field] != value:
                raise ValueError(
                    f"{run.folder} was trained with config.{field}={values[field]!r}, but {table.name}/{row.name} has "
                    f"{value!r} now: move that folder elsewhere, and run the row again"
                )


def _check_alike(runs: dict[str, list[Run]], dataset: str, data_dir: str | None) -> None:
    """Refuses runs that differ in more than their rows, or that were evaluated in different ways."""
    each = [(name, run) for name, group in runs.items() for run in group]
    first_name, first = each[0]
    shared, protocol = _settings(first_name, first, dataset, data_dir), _protocol(first)
    for name, run in each[1:]:
        own = _settings(name, run, dataset, data_dir)
        for field in sorted(field for field in shared.keys() | own.keys() if not field.startswith("evaluation.")):
            unset = "the preset's"
            _refuse_unlike(run, first, f"config.{field}", own.get(field, unset), shared.get(field, unset))
        if abs(images_of(run.config) - images_of(first.config)) >= max(_images_per_call(run), _images_per_call(first)):
            counts = (images_of(each.config) for each in (run, first))
            _refuse_unlike(run, first, "the number of training images", *counts)
        _refuse_unlike(run, first, "the protocol of the evaluation", _protocol(run), protocol)


def _settings(name: str, run: Run, dataset: str, data_dir: str | None) -> dict[str, Any]:
    """Returns the fields that a run changes in addition to its row: the fields given to `experiments.run --set`."""
    changes = run.config.changes(since=config_of(*find(name), dataset, data_dir))
    return {field: value for field, value in changes.items() if field not in _OWN_FIELDS}


def _protocol(run: Run) -> str:
    return results.read(_result_path(run.folder, run.config.training.num_steps)).fingerprint[:8]


def _images_per_call(run: Run) -> int:
    """Returns the images of one call, which runs several steps; a run's images are rounded up to whole calls."""
    return run.config.training.steps_per_call * images_of(run.config) // run.config.training.num_steps


def _refuse_unlike(run: Run, first: Run, what: str, value: object, expected: object) -> None:
    if value != expected:
        raise ValueError(
            f"{run.folder} and {first.folder} cannot be in one report: {what} is {value!r} in the first and "
            f"{expected!r} in the second. Give experiments.run the same settings, or move one of them elsewhere"
        )
