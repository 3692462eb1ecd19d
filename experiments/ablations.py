"""The paper's trained rows, each as its difference from a base, with the numbers that the paper gives for it.

  python -m experiments.ablations                                # the tables
  python -m experiments.ablations --table=4                      # its rows, the paper's numbers, and how to train each
  python -m experiments.ablations --row=table4/s_w --dataset=ln_coco

A row is named by its table: 'table4/s_w', 'fig5/head_2'. The base is the dataset's preset, which has all of the paper's
losses on; in ablations of photographs both networks have 64 base channels (section 6.2). What the paper leaves open can
be asked by the rows of 'negatives', 'update_rule', 'stem', 'batch_size' and 'generator_losses', for which it has no
numbers.
"""

from __future__ import annotations

from absl import app, flags

from data_pipelines import datasets
from experiments.ablation import tables
from experiments.ablation.paper_rows import TABLES, Table
from xmcgan import command_line

_TABLE = flags.DEFINE_string("table", None, f"Lists its rows; one of {', '.join(TABLES)}, or a number.")
_ROW = flags.DEFINE_string("row", None, "Lists this one, such as table4/s_w.")
_DATASET = command_line.define_dataset(datasets, "What to train on. [as the paper]", optional=True)


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
        raise app.UsageError("--dataset says what a row is trained on: give --table or --row")
    else:
        for table in TABLES.values():
            print(f"{table.name:<16} {table.place:<22} {table.title}: {', '.join(row.name for row in table.rows)}")


def _print(table: Table, names: list[str]) -> None:
    print(f"{table.title} ({table.place})")
    for row in table.rows:
        if row.name in names:
            numbers = ", ".join(f"{metric} {value:g}" for metric, value in row.published.items())
            print(f"\n{row.title}: {numbers or 'not in the paper'}")
            print(f"  {tables.command(table, row, _DATASET.value or table.dataset)}")


if __name__ == "__main__":
    command_line.run(main)
