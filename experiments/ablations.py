"""Lists the paper's trained rows: the config fields that each changes, and the numbers that the paper reports.

  python -m experiments.ablations                                # the tables
  python -m experiments.ablations --table=4                      # the rows of one, the paper's numbers, the commands
  python -m experiments.ablations --row=table4/s_w --dataset=ln_coco

A row's name starts with its table: 'table4/s_w', 'fig5/head_2'. Rows differ from the dataset's preset, which has all of
the paper's losses on; in ablations on photographs both networks have 64 base channels (section 6.2). The tables
'negatives', 'update_rule', 'stem', 'batch_size' and 'generator_losses' are for questions that the paper leaves open, so
their rows have no published numbers.
"""

from __future__ import annotations

from absl import app, flags

from data_pipelines import datasets
from experiments.ablation import tables
from experiments.ablation.paper_rows import TABLES, Table
from xmcgan import command_line

_TABLE = flags.DEFINE_string("table", None, f"A table to list: {', '.join(TABLES)}, or a number.")
_ROW = flags.DEFINE_string("row", None, "A row to list, such as table4/s_w.")
_DATASET = command_line.define_dataset(datasets, "Dataset to train on. [the paper's]", optional=True)
_DATA_DIR = command_line.define_data_dir()


def main(argv: list[str]) -> None:
    """Prints tables, rows and commands."""
    del argv
    if _ROW.value:
        table, row = tables.find(_ROW.value)
        _print(table, [row.name])
    elif _TABLE.value:
        table = tables.find_table(_TABLE.value)
        _print(table, [row.name for row in table.rows])
    elif _DATASET.value:
        raise app.UsageError("--dataset is for the commands of rows: give --table or --row")
    else:
        for table in TABLES.values():
            print(f"{table.name:<16} {table.place:<22} {table.title}: {', '.join(row.name for row in table.rows)}")


def _print(table: Table, names: list[str]) -> None:
    print(f"{table.title} ({table.place})")
    for row in table.rows:
        if row.name in names:
            numbers = ", ".join(f"{metric} {value:g}" for metric, value in row.published.items())
            print(f"\n{row.title}: {numbers or 'not in the paper'}")
            print(f"  {tables.command(table, row, _DATASET.value or table.dataset, _DATA_DIR.value)}")


if __name__ == "__main__":
    command_line.run(main)
