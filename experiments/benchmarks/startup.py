"""Measures the time from the start of a training command to its first step, as a ratio to `import tensorflow`.

  python -m experiments.benchmarks.startup --data_dir=data
  python -m experiments.benchmarks.startup --data_dir=data --code=../other_checkout --rounds=5

Starts python -m xmcgan.train --dataset=scenes repeatedly on prepared data, and stops it when it logs its first step.
The first start prepares missing data and is not counted. The command is observed from outside, by its output, so that
other versions of the code can be measured, too: --code is the folder of their checkout. The parts are

  imports      importing Python modules
  networks     building the text encoder, networks and optimizers, up to the line with the number of parameters
  data         finding the last checkpoint and the held-out captions, up to the tracing
  tracing      tracing the training step from Python to a graph
  first_call   optimizing the graph and running it once

Before each start, `import tensorflow` alone is timed; the ratio to it can be compared between machines. CPU seconds (of
all cores, user and system) are reported as well, because they are more reliable on a machine with other work. All
numbers are medians over the rounds. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import psutil
import tabulate
from absl import flags

from xmcgan import command_line, path_flags

_DATA_DIR = command_line.define_data_dir()
_CODE = path_flags.define_path("code", ".", "Folder of the checkout to measure.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Counted starts.", lower_bound=1)

PARTS = ("imports", "networks", "data", "tracing", "first_call")
# Lines that the run prints, in this order. The first one comes from `python -X importtime`. TensorFlow's runtime
# instantiates the step's graph right before its first call, and logs that if TF_CPP_VMODULE asks for it.
_IMPORTED = re.compile(r"import time: .* xmcgan\.training\.loop$")
_NETWORKS = re.compile(r"parameters: generator")
_TRACING = re.compile(r"compiling the training step")
_TRACED = re.compile(r"Instantiating MultiDevice function \"__inference_(run|train)")
_STEP = re.compile(r"step 1/2 ")
_MARKS = (_IMPORTED, _NETWORKS, _TRACING, _TRACED, _STEP)
_VERBOSE = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "process_function_library_runtime=1"}
# The smallest step; two of them, because a checkpoint follows the last one.
TRAINING = {"num_steps": 2, "steps_per_call": 1, "log_every": 1, "sample_every": 0}


class Moment(NamedTuple):
    """Seconds of a process so far."""

    wall: float
    cpu: float

    def __sub__(self, other: Moment) -> Moment:
        """Returns the seconds between two moments."""
        return Moment(self.wall - other.wall, self.cpu - other.cpu)


def main(argv: list[str]) -> None:
    """Prints the table and the JSON line."""
    del argv
    arguments = ["-X", "importtime", "-m", "xmcgan.train", "--dataset=scenes"]
    arguments += [f"--data_dir={os.path.abspath(_DATA_DIR.value)}"]
    arguments += [f"--config.training.{name}={value}" for name, value in TRAINING.items()]
    rounds = []
    for number in range(_ROUNDS.value + 1):
        tensorflow = time_import(_CODE.value)
        with tempfile.TemporaryDirectory() as scratch:
            parts = time_start([*arguments, f"--workdir={os.path.join(scratch, 'run')}"], _CODE.value)
        total = Moment(*map(sum, zip(*parts.values())))
        if number:  # The first start also fills the disk caches.
            rounds.append({"import_tensorflow": tensorflow, **parts, "total": total})
    medians = {name: [statistics.median(values) for values in zip(*(r[name] for r in rounds))] for name in rounds[0]}
    ratios = [statistics.median(r["total"][kind] / r["import_tensorflow"][kind] for r in rounds) for kind in (0, 1)]
    rows = [(name, *seconds) for name, seconds in medians.items()] + [("total / import_tensorflow", *ratios)]
    print(tabulate.tabulate(rows, ["", "seconds", "CPU seconds"], floatfmt=".2f"))
    result = {name: dict(zip(("seconds", "cpu_seconds"), values)) for name, values in medians.items()}
    print(json.dumps({**result, "ratio": ratios[0], "cpu_ratio": ratios[1], "rounds": len(rounds)}))


def time_import(folder: str) -> Moment:
    """Returns the time of a process that only imports TensorFlow."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", "import tensorflow"], cwd=folder, stderr=subprocess.DEVNULL
    ) as process:
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return Moment(time.perf_counter() - start, usage.ru_utime + usage.ru_stime)


def time_start(arguments: list[str], folder: str) -> dict[str, Moment]:
    """Starts a training and stops it after its first step.

    Args:
      arguments: arguments of Python, including `-X importtime`.
      folder: folder to start it in.

    Returns:
      The time of each of `PARTS`.

    Raises:
      RuntimeError: the run ended before its first step; the message has the last line that it printed.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, **_VERBOSE}, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        inside, marks, line = psutil.Process(process.pid), {}, ""
        for line in process.stderr or ():
            for mark in _MARKS:
                if mark.search(line) and (mark is not _TRACED or _TRACING in marks):
                    times = inside.cpu_times()
                    marks[mark] = Moment(time.perf_counter() - start, times.user + times.system)
            if _STEP in marks:
                break
        else:
            raise RuntimeError(f"the run ended before its first step: {line.strip()}")
    finally:
        process.kill()
        process.wait()
    moments = [Moment(0.0, 0.0), *(marks[mark] for mark in _MARKS)]
    return dict(zip(PARTS, (after - before for before, after in zip(moments, moments[1:]))))


if __name__ == "__main__":
    command_line.run(main)
