"""The report on a dataset: computed once, and shown on the console, as JSON and on the HTML page."""

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
from xmcgan import escapes


class Report(NamedTuple):
    """Statistics of a dataset's records, and what the conversion left out or mended."""

    dataset: str
    folder: str  # Folder of the records.
    text_length: int  # Number of tokens after which training cuts captions.
    splits: dict[str, SplitStatistics]
    comparisons: list[table1.Comparison]
    skipped: list[skipped.Kind]

    @property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """The numbers of each split; see `summaries.summarize`."""
        return {name: summaries.summarize(split, self.text_length) for name, split in self.splits.items()}

    @property
    def tables(self) -> list[Table]:
        """The same numbers as tables, one for each subject."""
        return summaries.tables(self.summaries, self.text_length)

    @property
    def gaps(self) -> str:
        """A sentence that says what Table 1 has no numbers for; may be empty."""
        return table1.describe_gaps(self.dataset, self.splits)


def choose_splits(dataset: str, data_dir: str | os.PathLike, split: str | None) -> list[str]:
    """Returns the splits to inspect.

    Args:
      dataset: name of a dataset.
      data_dir: folder of all records.
      split: name of one split, or None for all.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message names the command.
      ValueError: the dataset has no such split; the message lists its splits.
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
    """Measures splits of a dataset in one pass each.

    Args:
      dataset: name of a dataset.
      data_dir: folder of all records.
      splits: names of the splits.
      text_length: number of tokens after which training cuts captions.
      token_counter: counts the tokens of captions; if None, tokens are not counted.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message names the command.
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
    """Formats the report for a terminal."""
    paragraphs = [f"{report.dataset}: records in {report.folder}", *map(_to_text, report.tables)]
    if report.skipped:
        header = ["split", "action", "what", "reason", "count", "first"]
        rows = [
            [each.split, each.action, each.what, each.reason, f"{each.count:,}", each.names[0]]
            for each in report.skipped
        ]
        paragraphs.append(_to_text(Table(header, rows)))
    else:
        paragraphs.append("Nothing was left out or mended.")
    if report.comparisons:
        header = ["split", "number", "records", "Table 1", "verdict"]
        rows = [[*comparison[:4], comparison.verdict] for comparison in report.comparisons]
        paragraphs.append(_to_text(Table(header, rows)))
    if report.gaps:
        paragraphs.append(report.gaps)
    return "\n\n".join(paragraphs)


def to_json(report: Report) -> str:
    """Formats the report as indented JSON."""
    content = {
        "dataset": report.dataset,
        "folder": report.folder,
        "splits": report.summaries,
        "notes": [kind._asdict() for kind in report.skipped],
        "table1": [{**each._asdict(), "verdict": each.verdict} for each in report.comparisons],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _to_text(table: Table) -> str:
    rows = [[escapes.terminal(str(cell)) for cell in row] for row in table.rows]
    return tabulate.tabulate(rows, table.header, tablefmt="simple", disable_numparse=True)
