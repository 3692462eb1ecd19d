"""A training run in a process of its own, watched from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import psutil
import tqdm

from xmcgan.training.loop import COMPILING
from xmcgan.training.summaries import METRICS_FILE

_ENDLESS = 100_000_000  # Steps.
_EVERY = 10.0  # Seconds between two looks.


class Seen(NamedTuple):
    """What was seen of a run."""

    steps: int
    compilations: int
    memory: list[tuple[float, float]]  # Seconds since the first logged line, bytes in memory (resident set)
    speed: list[tuple[float, float]]  # Moments in proportion to seconds, images a second of a logged line


class WatchedRun:
    """`python -m xmcgan.train --dataset=scenes`, to be stopped when enough has been seen."""

    def __init__(self, data_dir: str, workdir: str, arguments: Sequence[str] = ()):
        """Args:
        data_dir: folder of the scenes' records; made if missing.
        workdir: folder for the run.
        arguments: more flags.
        """
        self._workdir = workdir
        self._command = [sys.executable, "-m", "xmcgan.train", "--dataset=scenes"]
        self._command += [f"--data_dir={data_dir}", f"--workdir={workdir}", f"--config.training.num_steps={_ENDLESS}"]
        self._command += arguments

    def watch(self, seconds: float, every: float = _EVERY) -> Seen:
        """Trains for so long after the first logged line, and stops the run.

        Raises:
          RuntimeError: the run ended by itself; with the last lines that it printed.
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
            compilations = output.read().count(COMPILING)
        return Seen(lines[-1]["step"], compilations, memory, speed)

    def _lines(self) -> list[dict]:
        path = os.path.join(self._workdir, METRICS_FILE)
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
    """The means of four equal parts of a series in time, after its beginning.

    Args:
      series: (moment, value), in order.
      left_out: share of the time at the beginning that does not count.
    """
    end = series[-1][0]
    edges = np.linspace(left_out * end, end, 5)
    moments, values = np.array(series).T
    return [
        float(np.mean(values[(moments >= first) & (moments <= last)])) for first, last in zip(edges[:-1], edges[1:])
    ]
