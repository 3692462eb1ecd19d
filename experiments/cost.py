"""Estimates the cost of the paper's rows at full size: operations, GPU hours and disk space; trains nothing.

  python -m experiments.cost --table=4
  python -m experiments.cost --table=2 --table=3 --table=open_images --tflops=989 --utilisation=0.3

Counts the convolutions and matrix products in the traced training step of each row, with contrastive losses over the
whole batch, VGG-19 and BERT, but without recomputed activations. The hours follow from the peak rate of the GPU
(--tflops, by default an A100's in bfloat16) and the assumed share of it that training reaches (--utilisation); quote
both with the hours. Prints a Markdown table; the last line is JSON. Takes a minute per row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import tabulate
import tqdm
from absl import app, flags
from etils import epy

from data_pipelines import datasets
from experiments.ablation.paper_rows import TABLES
from experiments.ablation.tables import row_names
from xmcgan import command_line

with epy.lazy_imports():
    from experiments.ablation import jobs
    from experiments.footprint import run_cost

_TABLE = flags.DEFINE_multi_string("table", [], f"A table: {', '.join(TABLES)}, or a number")
_ROW = flags.DEFINE_multi_string("row", [], "A row, such as table4/s_w")
_DATASET = command_line.define_dataset(datasets, "Dataset to train on. [the paper's]", optional=True)
_DATA_DIR = command_line.define_data_dir()
_NUM_IMAGES = flags.DEFINE_integer("num_pictures", 82_783_000, "Training images of each run.", lower_bound=1)
_TFLOPS = flags.DEFINE_float("tflops", 312.0, "Peak rate of one GPU, in TFLOP/s.", lower_bound=0.001)
_UTILIZATION = flags.DEFINE_float(
    "utilisation", 0.3, "Share of the peak rate that training reaches.", lower_bound=0.001, upper_bound=1.0
)
_GPUS = flags.DEFINE_multi_integer("gpus", [1, 8], "GPUs that share a run", lower_bound=1)


def main(argv: list[str]) -> None:
    """Prints the table and the JSON line."""
    del argv
    names = row_names(_TABLE.value, _ROW.value)
    if not names:
        raise app.UsageError("give what to count: --table or --row")
    planned = jobs.jobs_of(names, "", dataset=_DATASET.value, num_images=_NUM_IMAGES.value, data_dir=_DATA_DIR.value)
    rate = 1e12 * _TFLOPS.value * _UTILIZATION.value
    peak = f"{_UTILIZATION.value:.0%} of {_TFLOPS.value:g} TFLOP/s"
    print(f"each run draws {_NUM_IMAGES.value:,} images; a GPU reaches {peak}\n")
    costs = {}
    for job in tqdm.tqdm(planned, unit="run", disable=None):
        costs[", ".join(job.rows)] = run_cost.cost_of(job.config)
    print(f"{table(costs, rate, _GPUS.value)}\n")
    named = {name: cost._asdict() for name, cost in costs.items()}
    print(json.dumps({name: {"pictures": fields.pop("images"), **fields} for name, fields in named.items()}))


def table(costs: Mapping[str, run_cost.Cost], rate: float, gpus: Sequence[int]) -> str:
    """Returns the costs and their sum as a Markdown table.

    Args:
      costs: the cost of each run, by its name.
      rate: operations per second of one GPU.
      gpus: numbers of GPUs to share a run among.
    """
    heads = ["run", "GFLOP an image", "EFLOP", *(f"hours, {n} GPU{'s' * (n > 1)}" for n in gpus), "GB of disk"]
    rows = []
    for name, cost in costs.items():
        hours = [f"{cost.hours(n * rate):,.1f}" for n in gpus]
        numbers = [f"{cost.flop_per_image / 1e9:.0f}", f"{cost.flop / 1e18:.1f}"]
        rows.append([name, *numbers, *hours, f"{cost.disk_bytes / 1e9:.1f}"])
    flop, disk = (sum(getattr(cost, what) for cost in costs.values()) for what in ("flop", "disk_bytes"))
    hours = [f"{flop / rate / n / 3600:,.0f}" for n in gpus]
    rows.append([f"**all {len(costs)}**", "", f"{flop / 1e18:.0f}", *hours, f"{disk / 1e9:.0f}"])
    aligned = ["left", *["right"] * (len(heads) - 1)]
    return tabulate.tabulate(rows, heads, tablefmt="pipe", colalign=aligned, disable_numparse=True)


if __name__ == "__main__":
    command_line.run(main)
