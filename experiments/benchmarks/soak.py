"""Monitors a long training run: its memory, its throughput, and how often its step is compiled.

  python -m experiments.benchmarks.soak --data_dir=data
  python -m experiments.benchmarks.soak --minutes=10 --data_dir=data --output=soak.json

Trains on scenes in another process with python -m xmcgan.train, including logs, samples and checkpoints. When the time
is over, the run is stopped (SIGTERM). The first tenth of the time, in which memory and caches fill up, is left out.
Fails if memory has grown by more than 5 % between the first and the last quarter of the rest, or if the step was
compiled more than once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import psutil
import tabulate
import tqdm
from absl import flags
from etils import epy

from xmcgan import command_line, path_flags
from xmcgan.files import replaced

with epy.lazy_imports():
    from xmcgan.training import loop, summaries

_DATA_DIR = command_line.define_data_dir()
_MINUTES = flags.DEFINE_float("minutes", 60.0, "How long to train.", lower_bound=0.1)
_SCRATCH = path_flags.define_path("scratch", None, "Folder for the run, which is removed. [the system's]")
_OUTPUT = path_flags.define_path("output", None, "File for all numbers, as JSON.")

_GROWTH = 0.05
_ENDLESS = 100_000_000  # Steps.
_EVERY = 10.0  # Seconds between two samples of the memory.


def main(argv: list[str]) -> None:
    """Monitors a run and prints its quarters."""
    del argv
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        run = WatchedRun(_DATA_DIR.value, os.path.join(scratch, "run"))
        seen = run.watch(60.0 * _MINUTES.value)
    memory, speed = quarters(seen.memory), quarters(seen.speed)
    print(f"{seen.steps} steps in {_MINUTES.value:g} minutes; the step was compiled {seen.compilations} time(s)")
    rows = [(number, f"{size / 1e6:.0f} MB", rate) for number, (size, rate) in enumerate(zip(memory, speed), start=1)]
    print(tabulate.tabulate(rows, ["quarter of the time", "memory", "images/s"], floatfmt=".1f"))
    growth, drift = (values[-1] / values[0] - 1.0 for values in (memory, speed))
    print(f"from the first quarter to the last: memory {growth:+.1%}, images/s {drift:+.1%}")
    if _OUTPUT.value:
        with replaced(_OUTPUT.value) as file:
            json.dump({**seen._asdict(), "memory_growth": growth, "speed_drift": drift}, file)
    if growth > _GROWTH or seen.compilations != 1:
        raise ValueError(f"memory has grown by {growth:.1%}, the step was compiled {seen.compilations} times")


class Seen(NamedTuple):
    """The observations of a run."""

    steps: int
    compilations: int
    memory: list[tuple[float, float]]  # (seconds since the first logged line, bytes of the resident set)
    speed: list[tuple[float, float]]  # (moment in a unit proportional to seconds, images per second of a logged line)


class WatchedRun:
    """A run of `python -m xmcgan.train --dataset=scenes` that is stopped after a given time."""

    def __init__(self, data_dir: str, workdir: str, arguments: Sequence[str] = ()):
        """Initializes it.

        Args:
          data_dir: folder of the scenes' records; they are prepared if missing.
          workdir: folder for the run.
          arguments: further flags.
        """
        self._workdir = workdir
        self._command = [sys.executable, "-m", "xmcgan.train", "--dataset=scenes"]
        self._command += [f"--data_dir={data_dir}", f"--workdir={workdir}", f"--config.training.num_steps={_ENDLESS}"]
        self._command += arguments

    def watch(self, seconds: float, every: float = _EVERY) -> Seen:
        """Trains for some seconds after the first logged line, then stops the run.

        Args:
          seconds: seconds to train.
          every: seconds between two samples of the memory.

        Raises:
          RuntimeError: the run ended by itself; the message has the last lines that it printed.
        """
        os.makedirs(self._workdir)
        log = os.path.join(self._workdir, "output.txt")
        with open(log, "wb") as output:
            process = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)
        try:
            while not self._lines():
                self._wait(process, log, 1.0)
            start, memory = time.time(), []
            inside = psutil.Process(process.pid)
            with tqdm.tqdm(total=int(seconds), unit="s", desc="watching", disable=None) as bar:
                while time.time() - start < seconds:
                    memory.append((time.time() - start, float(inside.memory_info().rss)))
                    self._wait(process, log, every)
                    bar.update(min(int(time.time() - start), int(seconds)) - bar.n)
            process.terminate()
            process.wait(timeout=120)
        finally:
            process.kill()
            process.wait()
        lines = self._lines()
        speeds = [line["images_per_second"] for line in lines[1:]]
        steps = np.diff([line["step"] for line in lines])
        speed = list(zip(np.cumsum(steps / speeds).tolist(), speeds))
        with open(log, encoding="utf-8", errors="replace") as output:
            compilations = output.read().count(loop.COMPILING)
        return Seen(lines[-1]["step"], compilations, memory, speed)

    def _lines(self) -> list[dict]:
        path = os.path.join(self._workdir, summaries.METRICS_FILE)
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def _wait(self, process: subprocess.Popen, log: str, seconds: float) -> None:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return
        with open(log, encoding="utf-8", errors="replace") as output:
            last = output.read().splitlines()[-3:]
        raise RuntimeError("the run ended by itself: " + " / ".join(last))


def quarters(series: Sequence[tuple[float, float]], left_out: float = 0.1) -> list[float]:
    """Returns the means over four equal parts of a time series, without its beginning.

    Args:
      series: (moment, value) pairs, in order.
      left_out: share of the time at the beginning to leave out.
    """
    end = series[-1][0]
    edges = np.linspace(left_out * end, end, 5)
    moments, values = np.array(series).T
    return [
        float(np.mean(values[(moments >= first) & (moments <= last)])) for first, last in zip(edges[:-1], edges[1:])
    ]


if __name__ == "__main__":
    command_line.run(main)
