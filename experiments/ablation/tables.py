"""Looks up the paper's rows by name, and returns their configs and the commands that train them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_pipelines import datasets
from experiments.ablation.paper_rows import TABLES, Row, Table
from xmcgan.config import Config
from xmcgan.config_checks import validate

_ABLATION_CHANNELS = 64  # Footnote 3 of section 6.2, and Appendix A.


def base(table: Table, dataset: str, data_dir: str | None = None) -> Config:
    """Returns the config that the rows of a table change.

    Args:
      table: one of TABLES.
      dataset: dataset to train on.
      data_dir: folder of all records, see `datasets.get`.
    """
    fields: dict[str, Any] = {}
    if table.is_ablation:
        fields["losses.generator_image_encoder"] = 1.0  # Some presets have it off.
        if not datasets.is_drawn(dataset):  # The networks of drawn datasets are small already.
            fields["generator.channels"] = fields["discriminator.channels"] = _ABLATION_CHANNELS
    return validate(datasets.preset(dataset, data_dir=data_dir).with_fields(fields))


def config_of(table: Table, row: Row, dataset: str, data_dir: str | None = None) -> Config:
    """Returns the whole config of a row.

    Args:
      table: one of TABLES.
      row: a row of the table.
      dataset: dataset to train on.
      data_dir: folder of all records, see `datasets.get`.

    Raises:
      ValueError: the changes of the row do not fit the dataset's preset.
    """
    return validate(base(table, dataset, data_dir).with_fields(row.changes))


def command(table: Table, row: Row, dataset: str, data_dir: str | None = None) -> str:
    """Returns the command that trains a row."""
    changes = config_of(table, row, dataset, data_dir).changes(since=datasets.preset(dataset, data_dir=data_dir))
    flags = [f"--config.{field}={value}" for field, value in changes.items()]
    workdir = f"--workdir=runs/{table.name}/{row.name}"
    return " ".join(["python -m xmcgan.train", f"--dataset={dataset}", workdir, *flags])


def find_table(name: str) -> Table:
    """Returns a table by its name, such as 'table4', or by the paper's number: '4'.

    Raises:
      ValueError: there is no such table; the message lists those that exist.
    """
    for full_name in (name, f"table{name}"):
        if full_name in TABLES:
            return TABLES[full_name]
    raise ValueError(f"no table '{name}': choose one of {', '.join(TABLES)}")


def find(name: str) -> tuple[Table, Row]:
    """Returns a row and its table by the row's full name, such as 'table4/s_w'.

    Raises:
      ValueError: there is no such row; the message lists those that exist.
    """
    table_name, _, row_name = name.partition("/")
    table = find_table(table_name)
    for row in table.rows:
        if row.name == row_name:
            return table, row
    raise ValueError(f"no row '{name}': {table.name} has {', '.join(row.name for row in table.rows)}")


def row_names(tables: Sequence[str], rows: Sequence[str] = ()) -> list[str]:
    """Returns the full names of all rows of tables, then of single rows, without duplicates.

    Raises:
      ValueError: there is no such table or row.
    """
    found = [(table, row) for table in map(find_table, tables) for row in table.rows] + [find(row) for row in rows]
    return list(dict.fromkeys(f"{table.name}/{row.name}" for table, row in found))
