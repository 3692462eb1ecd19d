"""Everything that is to be said about a dataset: on the console, as JSON, and for the sheet."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import tabulate

from data_pipelines import records
from data_pipelines.builders import skipped
from data_pipelines.inspection import split_statistics, summaries, table1
from data_pipelines.inspection.split_statistics import SplitStatistics
from data_pipelines.inspection.summaries import Table
from data_pipelines.inspection.tokens import TokenCounter


class Report(NamedTuple):
    """What is in the records of a dataset."""

    dataset: str
    folder: str  # Of the records.
    text_length: int  # Tokens at which training cuts captions.
    splits: dict[str, SplitStatistics]
    comparisons: list[table1.Comparison]
    skipped: list[skipped.Kind]

    @property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """The splits' numbers; see `summaries.summarize`."""
        return {name: summaries.summarize(split, self.text_length) for name, split in self.splits.items()}

    @property
    def tables(self) -> list[Table]:
        """What is in the records, by subject."""
        return summaries.tables(self.summaries, self.text_length)

    @property
    def silence(self) -> str:
        """What the paper has no numbers of, as a sentence; may be empty."""
        return table1.silence(self.dataset, self.splits)


def choose_splits(dataset: str, data_dir: str | os.PathLike, split: str | None) -> list[str]:
    """The splits to inspect.

    Args:
      dataset: name of a dataset.
      data_dir: folder of all records.
      split: name of one split, or None for all.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
      ValueError: it has no such split; the message names those it has.
    """
    splits = list(records.open_dataset(dataset, data_dir).info.splits)
    if split is None:
        return splits
    if split not in splits:
        raise ValueError(f"--split={split}: {dataset} has no such split: choose one of {', '.join(splits)}")
    return [split]


def inspect(
    dataset: str,
    data_dir: str | os.PathLike,
    splits: Sequence[str],
    text_length: int,
    token_counter: TokenCounter | None,
) -> Report:
    """Goes once through splits of a dataset.

    Args:
      dataset: name of a dataset.
      data_dir: folder of all records.
      splits: names of the splits.
      text_length: tokens at which training cuts captions.
      token_counter: None leaves the tokens out.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
    """
    builder = records.open_dataset(dataset, data_dir)
    folder = records.directory(dataset, data_dir)
    found = {split: split_statistics.measure_split(builder, split, token_counter) for split in splits}
    return Report(
        dataset=dataset,
        folder=os.fspath(folder),
        text_length=text_length,
        splits=found,
        comparisons=table1.compare(dataset, found),
        skipped=skipped.read_kinds(folder, splits),
    )


def to_text(report: Report) -> str:
    """The report for a terminal."""
    parts = [f"{report.dataset}: records in {report.folder}", *map(_to_text, report.tables)]
    if report.skipped:
        header = ["split", "noted", "what", "reason", "number", "first"]
        rows = [
            [each.split, each.action, each.what, each.reason, f"{each.count:,}", each.names[0]]
            for each in report.skipped
        ]
        parts.append(_to_text(Table(header, rows)))
    else:
        parts.append("Nothing was left out or mended.")
    if report.comparisons:
        header = ["split", "beside the paper", "records", "Table 1", "verdict"]
        rows = [[*comparison[:4], comparison.verdict] for comparison in report.comparisons]
        parts.append(_to_text(Table(header, rows)))
    if report.silence:
        parts.append(report.silence)
    return "\n\n".join(parts)


def to_json(report: Report) -> str:
    """The report for machines, indented."""
    content = {
        "dataset": report.dataset,
        "folder": report.folder,
        "splits": report.summaries,
        "notes": [kind._asdict() for kind in report.skipped],
        "table1": [{**each._asdict(), "verdict": each.verdict} for each in report.comparisons],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _to_text(table: Table) -> str:
    return tabulate.tabulate(table.rows, table.header, tablefmt="simple", disable_numparse=True)
