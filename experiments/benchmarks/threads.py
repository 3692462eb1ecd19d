"""Measures how fast a run trains on CPUs with different numbers of threads, and with and without oneDNN.

  python -m experiments.benchmarks.threads --dataset=scenes
  python -m experiments.benchmarks.threads --dataset=birds --data_dir=data --steps=100 --rounds=3

TensorFlow reads these settings from the environment when it starts, so each of them trains in a process of its own:

  TF_NUM_INTEROP_THREADS   operations that run at the same time
  TF_NUM_INTRAOP_THREADS   threads that share one operation
  TF_ENABLE_ONEDNN_OPTS    1: Intel's kernels; 0: TensorFlow's own

Every process trains for a few steps from the same start; the first ones do not count. The settings take turns, so that
other work on the machine slows all of them. The fastest one is printed as it is put before a command. The last line is
JSON. Keep the machine otherwise idle.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping

import tabulate
from absl import flags

from data_pipelines import datasets
from xmcgan import command_line

_DATA_DIR = command_line.define_data_dir()
_DATASET = command_line.define_dataset(datasets)
_STEPS = flags.DEFINE_integer("steps", 50, "Steps that are timed, in each process.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 2, "Processes of each setting.", lower_bound=1)

_RATE = re.compile(r"([\d.]+) images/s")


def settings(cores: int) -> list[dict[str, int]]:
    """Returns the settings to try on a machine with that many cores; the first, an empty one, is TensorFlow's own."""
    threads = [(cores, 1), (1, cores), (2, max(1, cores // 2))]
    given = [{"TF_NUM_INTEROP_THREADS": inter, "TF_NUM_INTRAOP_THREADS": intra} for inter, intra in threads]
    distinct = [each for number, each in enumerate(given) if each not in given[:number]]
    return [{}, *distinct, {"TF_ENABLE_ONEDNN_OPTS": 0}, {"TF_ENABLE_ONEDNN_OPTS": 1}]


def main(argv: list[str]) -> None:
    """Prints the table, the fastest setting and the JSON line."""
    del argv
    tried = settings(os.cpu_count() or 1)
    rates: list[list[float]] = [[] for _ in tried]
    for _ in range(_ROUNDS.value):
        for setting, measured in zip(tried, rates):
            measured.append(images_per_second(setting, _DATASET.value, _DATA_DIR.value, _STEPS.value))
    medians = [statistics.median(measured) for measured in rates]
    rows = [(spelled(setting), rate, rate / medians[0]) for setting, rate in zip(tried, medians)]
    print(tabulate.tabulate(rows, ["setting", "images/s", "ratio"], floatfmt=("", ".1f", ".2f")))
    best = max(rows, key=lambda row: row[1])
    print(f"fastest: {best[0]}")
    print(json.dumps({"images_per_second": {name: rate for name, rate, _ in rows}, "rounds": _ROUNDS.value}))


def spelled(setting: Mapping[str, int]) -> str:
    """Returns a setting as it is put before a command."""
    return " ".join(f"{name}={value}" for name, value in setting.items()) or "TensorFlow's default"


def images_per_second(setting: Mapping[str, int], dataset: str, data_dir: str, steps: int) -> float:
    """Trains a new run in a process of its own, and returns the rate of its last `steps` steps.

    Raises:
      RuntimeError: the run ended with an error; the message is its last line.
    """
    with tempfile.TemporaryDirectory() as workdir:
        command = [
            *(sys.executable, "-m", "xmcgan.train", f"--dataset={dataset}", f"--data_dir={data_dir}"),
            *(f"--workdir={workdir}", f"--config.training.num_steps={2 * steps}"),
            *(f"--config.training.{name}={steps}" for name in ("steps_per_call", "log_every")),
            *("--config.training.sample_every=0", f"--config.training.checkpoint_every={2 * steps}"),
        ]
        environment = {**os.environ, **{name: str(value) for name, value in setting.items()}}
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    rates = _RATE.findall(done.stderr)
    if done.returncode or not rates:
        raise RuntimeError(f"the run ended: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
    return float(rates[-1])


if __name__ == "__main__":
    command_line.run(main)
