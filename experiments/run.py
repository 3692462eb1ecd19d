"""Trains and evaluates rows of the paper's tables: what is missing, and nothing twice.

  python -m experiments.run --list
  python -m experiments.run --table=4 --dry_run
  python -m experiments.run --table=4 --table=5 --dataset=coco2014 --workdir=runs/ablations --seeds=3
  python -m experiments.run --row=fig5/head_2 --dataset=scenes --parallel=2

Each run draws as many training images (--num_pictures), has the same settings but for its row's, and is evaluated by
the same captions. Rows that are the same experiment share a run. What was killed goes on when the command is given
again; a run whose settings have changed since is refused by the name of the field. A row that fails does not stop the
others. `python -m experiments.ablations` tells what the rows are, and `python -m experiments.report` makes tables of
the results.
"""

from __future__ import annotations

import shlex
import signal

from absl import app, flags
from etils import epy

from data_pipelines import datasets
from experiments.ablation.paper_rows import TABLES
from experiments.ablation.tables import find, row_names
from xmcgan import command_line

with epy.lazy_imports():
    from experiments.ablation import jobs, runner

_TABLE = flags.DEFINE_multi_string(
    "table", [], f"All of its rows; one of {', '.join(TABLES)}, or a number; several are allowed."
)
_ROW = flags.DEFINE_multi_string("row", [], "One row, such as table4/s_w; several are allowed.")
_DATASET = command_line.define_dataset(datasets, "What to train on. [as the paper]", optional=True)
_DATA_DIR = command_line.define_data_dir()
_WORKDIR = flags.DEFINE_string("workdir", "runs/ablations", "Folder of all runs.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "Runs of each row, from other weights and data orders.", lower_bound=1)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_pictures",
    None,
    "Training images that each run draws: its budget. [1000 passes over COCO-14; on scenes, what the demo draws]",
    lower_bound=1,
)
_SET = flags.DEFINE_multi_string("set", [], "A field in all rows, such as training.precision=bfloat16.")
_PARALLEL = flags.DEFINE_integer("parallel", 1, "Runs at once, each on its part of the GPUs and cores.", lower_bound=1)
_LIST = flags.DEFINE_bool("list", False, "Only name the rows.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Only print what would be run.")


def main(argv: list[str]) -> None:
    """Runs what is missing, or prints it."""
    del argv
    names = row_names(_TABLE.value, _ROW.value)
    if _LIST.value:
        for name in names or row_names(list(TABLES)):
            print(f"{name:<24} {find(name)[1].title}")
        return
    if not names:
        raise app.UsageError("give what to run: --table or --row (--list names them)")
    planned = jobs.jobs_of(
        names,
        _WORKDIR.value,
        dataset=_DATASET.value,
        seeds=_SEEDS.value,
        num_images=_NUM_IMAGES.value or jobs.default_budget(_DATASET.value),
        shared=jobs.parse_fields(_SET.value),
    )
    if _DRY_RUN.value:
        for job in planned:
            state = "finished" if job.is_finished() else f"{job.config.training.num_steps} steps"
            print(f"# {', '.join(job.rows)}, seed {job.config.training.seed}: {state}")
            for _, command in runner.commands_of(job, _DATA_DIR.value):
                print(shlex.join(["python", *command[1:]]))
        return
    for number in (signal.SIGTERM, signal.SIGHUP):  # As Ctrl-C: what is running saves and ends.
        signal.signal(number, signal.default_int_handler)
    failures = runner.Runner(_DATA_DIR.value, lambda table: print(f"{table}\n", flush=True)).run(
        planned, _PARALLEL.value
    )
    for folder, reason in failures.items():
        print(f"failed: {folder}: {reason}")
    if failures:
        raise ValueError(f"{len(failures)} of {len(planned)} runs failed; the same command takes them up again")


if __name__ == "__main__":
    command_line.run(main)
