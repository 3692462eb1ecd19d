"""Proof that a training run may be killed at any moment: its numbers come out as if nothing had happened.

  python -m experiments.benchmarks.training_kills
  python -m experiments.benchmarks.training_kills --kills=6 --seed=1

Trains a small model on a few scenes undisturbed. Then it starts the same run over and over and ends it by SIGKILL and
SIGTERM, by turns: at a random moment of its work, while it saves a checkpoint, and while it starts. A last run is left
alone, and every number of its last checkpoint and of its metrics is held against the undisturbed run's, bit for bit. A
table tells what each kill left on the disk. Fifty kills take half an hour on one slow core.
"""

from __future__ import annotations

import pathlib
import tempfile

import numpy as np
from absl import flags

from xmcgan import command_line

_KILLS = flags.DEFINE_integer("kills", 50, "How many times to kill the run.", lower_bound=1)
_NUM_STEPS = flags.DEFINE_integer("num_steps", 0, "Of the run; 0: enough for all kills.", lower_bound=0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the moments.", lower_bound=0)
_SCRATCH = flags.DEFINE_string("scratch", None, "Folder for all files, which are removed. [the system's own]")


def main(argv: list[str]) -> None:
    del argv
    from data_pipelines import prepare
    from experiments.benchmarks import killed_training

    least = killed_training.STEPS_OF_A_KILL * (_KILLS.value + 1)
    num_steps = _NUM_STEPS.value or least
    if num_steps < least:
        raise ValueError(f"--num_steps={num_steps} may end before {_KILLS.value} kills: give {least} or more")
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        data_dir = pathlib.Path(scratch) / "data"
        prepare.prepare_scenes(data_dir, num_train=60, num_val=20)
        prepare.prepare_text_model(data_dir, steps=2)
        undisturbed, killed = (
            killed_training.Training(data_dir, pathlib.Path(scratch) / name, num_steps)
            for name in ("undisturbed", "killed")
        )
        print(f"{num_steps} steps undisturbed: {undisturbed.finish():.1f} s", flush=True)
        killed_training.kill_over_and_over(killed, _KILLS.value, _SEED.value, tell=lambda line: print(line, flush=True))
        killed.finish()
        lines = undisturbed.lines(), killed.lines()
        tensors = undisturbed.tensors(), killed.tensors()
    names = sorted({*tensors[0], *tensors[1]})
    different = [name for name in names if not _same(*(of.get(name) for of in tensors))]
    print(f"metrics.jsonl, {len(lines[0])} lines: {'the same' if lines[0] == lines[1] else 'DIFFERENT'}")
    print(f"last checkpoint, {len(tensors[0])} tensors: {len(different) or 'none'} different")
    if different or lines[0] != lines[1]:
        first = f": {different[0]} first" if different else ""
        raise ValueError(f"after {_KILLS.value} kills the numbers differ from those of an undisturbed run{first}")
    print(f"after {_KILLS.value} kills every number is that of an undisturbed run, bit for bit")


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether two arrays are there and have the same bytes."""
    if one is None or other is None:
        return False
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


if __name__ == "__main__":
    command_line.run(main)
