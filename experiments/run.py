"""Trains and evaluates rows of the paper's tables, except those that are finished.

  python -m experiments.run --list
  python -m experiments.run --table=4 --dry_run
  python -m experiments.run --table=4 --table=5 --dataset=coco2014 --workdir=runs/ablations --seeds=3
  python -m experiments.run --row=fig5/head_2 --dataset=scenes --parallel=2

All runs train on the same number of images (--num_pictures), share all settings that their rows do not set, and are
evaluated on the same captions. Rows that describe the same experiment share a run. Give the same command again to
resume killed runs. A run whose settings have changed is refused with the name of the field. A row that fails does not
stop the others. `python -m experiments.ablations` describes the rows, and `python -m experiments.report` makes tables
of the results.
"""

from __future__ import annotations

import shlex
import signal

from absl import app, flags
from etils import epy

from data_pipelines import datasets
from experiments.ablation.paper_rows import TABLES
from experiments.ablation.tables import find, row_names
from xmcgan import command_line, path_flags
from xmcgan.files import check_writable

with epy.lazy_imports():
    from experiments.ablation import jobs, runner

_TABLE = flags.DEFINE_multi_string("table", [], f"A table, to run all of its rows: {', '.join(TABLES)}, or a number")
_ROW = flags.DEFINE_multi_string("row", [], "A row, such as table4/s_w")
_DATASET = command_line.define_dataset(datasets, "Dataset to train on. [the paper's]", optional=True)
_DATA_DIR = command_line.define_data_dir()
_WORKDIR = path_flags.define_path("workdir", "runs/ablations", "Folder of all runs.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "Seeds per row (0, 1, ...), with one run each.", lower_bound=1)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_pictures",
    None,
    "Training images of each run. [1000 epochs of COCO-14; on scenes, as many as the demo]",
    lower_bound=1,
)
_SET = flags.DEFINE_multi_string("set", [], "A field to set in all rows, such as training.precision=bfloat16")
_PARALLEL = flags.DEFINE_integer("parallel", 1, "Runs at once, each on its share of GPUs and cores.", lower_bound=1)
_LIST = flags.DEFINE_bool("list", False, "Only list the rows.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Only print the commands.")


def main(argv: list[str]) -> None:
    """Runs what is not finished, or prints its commands."""
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
        data_dir=_DATA_DIR.value,
    )
    if _DRY_RUN.value:
        for job in planned:
            state = "finished" if job.is_finished() else f"{job.config.training.num_steps} steps"
            print(f"# {', '.join(job.rows)}, seed {job.config.training.seed}: {state}")
            for _, command in runner.commands_of(job, _DATA_DIR.value):
                print(shlex.join(["python", *command[1:]]))
        return
    check_writable(_WORKDIR.value)
    for number in (signal.SIGTERM, signal.SIGHUP):  # Like Ctrl-C: running trainings save and end.
        signal.signal(number, signal.default_int_handler)
    failures = runner.Runner(_DATA_DIR.value, lambda table: print(f"{table}\n", flush=True)).run(
        planned, _PARALLEL.value
    )
    for folder, reason in failures.items():
        print(f"failed: {folder}: {reason}")
    if failures:
        raise ValueError(f"{len(failures)} of {len(planned)} runs failed: give the same command again to resume them")


if __name__ == "__main__":
    command_line.run(main)
