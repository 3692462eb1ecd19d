"""What the paper's rows would cost at full size: operations, hours on GPUs, and disk; nothing is trained.

  python -m experiments.cost --table=4
  python -m experiments.cost --table=2 --table=3 --table=open_images --tflops=989 --utilization=0.3

Counts the convolutions and matrix products of each row's training step, as traced, with its contrastive losses over
the whole batch, VGG-19 and BERT, but without activations that are computed again to save memory. The hours follow from
the peak rate of the GPU (--tflops, by default an A100's in bfloat16) and the part of it that is reached
(--utilization): state it with the hours. Prints a Markdown table; the last line is JSON. A minute a row.
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
_TABLE = flags.DEFINE_multi_string("table", [], f"All of its rows; one of {', '.join(TABLES)}, or a number.")
_ROW = flags.DEFINE_multi_string("row", [], "One row, such as table4/s_w; several are allowed.")
_DATASET = command_line.define_dataset(datasets, "What to train on. [as the paper]", optional=True)
_NUM_IMAGES = flags.DEFINE_integer("num_pictures", 82_783_000, "Training images that each run draws.", lower_bound=1)
_TFLOPS = flags.DEFINE_float("tflops", 312.0, "Peak rate of one GPU, in 10^12 operations a second.", lower_bound=0.001)
_UTILIZATION = flags.DEFINE_float(
    "utilisation", 0.3, "Part of the peak that training reaches.", lower_bound=0.001, upper_bound=1.0
)
_GPUS = flags.DEFINE_multi_integer("gpus", [1, 8], "GPUs that share a run; several are allowed.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Prints the table and the JSON line."""
    del argv
    names = row_names(_TABLE.value, _ROW.value)
    if not names:
        raise app.UsageError("give what to count: --table or --row")
    planned = jobs.jobs_of(names, "", dataset=_DATASET.value, num_images=_NUM_IMAGES.value)
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
    """The costs in Markdown, and their sum.

    Args:
      costs: of each run, by its name.
      rate: operations a second of one GPU.
      gpus: numbers of GPUs that share a run.
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
