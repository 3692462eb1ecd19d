"""A long training run under watch: its memory, its speed, and how often its step is compiled.

  python -m experiments.benchmarks.soak --data_dir=data
  python -m experiments.benchmarks.soak --minutes=10 --data_dir=data --output=soak.json

Trains on scenes in a process of its own, as python -m xmcgan.train does, with all that comes with it: logs, samples,
checkpoints. After the time is over the run is told to stop (SIGTERM). The first tenth is left out of the comparison:
memory and caches fill up. Fails if memory has grown by more than 5 % between the first and the last quarter of the
rest, or if the step was compiled more than once.
"""

from __future__ import annotations

import json
import os
import tempfile

from absl import flags

from experiments.benchmarks.watched_run import WatchedRun, quarters
from xmcgan import command_line
from xmcgan.files import replaced

_DATA_DIR = command_line.define_data_dir()
_MINUTES = flags.DEFINE_float("minutes", 60.0, "How long to train.", lower_bound=0.1)
_SCRATCH = flags.DEFINE_string("scratch", None, "Folder for the run, which is removed. [the system's own]")
_OUTPUT = flags.DEFINE_string("output", None, "File for all numbers, as JSON.")

_GROWTH = 0.05


def main(argv: list[str]) -> None:
    del argv
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        run = WatchedRun(_DATA_DIR.value, os.path.join(scratch, "run"))
        seen = run.watch(60.0 * _MINUTES.value)
    memory, speed = quarters(seen.memory), quarters(seen.speed)
    print(f"{seen.steps} steps in {_MINUTES.value:g} minutes; the step was compiled {seen.compilations} time(s)")
    print("quarter of the time   memory   pictures/s")
    for number, (of_memory, of_speed) in enumerate(zip(memory, speed), start=1):
        print(f"{number:>19}{of_memory / 1e6:>7.0f} MB{of_speed:>13.1f}")
    growth, drift = (values[-1] / values[0] - 1.0 for values in (memory, speed))
    print(f"from the first quarter to the last: memory {growth:+.1%}, pictures/s {drift:+.1%}")
    if _OUTPUT.value:
        with replaced(_OUTPUT.value) as file:
            json.dump({**seen._asdict(), "memory_growth": growth, "speed_drift": drift}, file)
    if growth > _GROWTH or seen.compilations != 1:
        raise ValueError(f"memory has grown by {growth:.1%}, the step was compiled {seen.compilations} times")


if __name__ == "__main__":
    command_line.run(main)
