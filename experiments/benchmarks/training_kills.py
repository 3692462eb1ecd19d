"""Kills a training run at random moments, and checks that its numbers are those of an undisturbed run.

  python -m experiments.benchmarks.training_kills
  python -m experiments.benchmarks.training_kills --kills=6 --seed=1

Trains a small model on a few scenes undisturbed. Then it starts the same run repeatedly and ends it by SIGKILL and
SIGTERM, in turns: at a random moment of its work, while it saves a checkpoint, and while it starts. At last the run
trains to its end, and every number of its last checkpoint and of its metrics is compared with the undisturbed run's,
bit for bit. A table shows what each kill left on the disk. Fifty kills take half an hour on one slow core.
"""

from __future__ import annotations

import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Callable, NamedTuple

import numpy as np
from absl import flags
from etils import epy

from xmcgan import command_line, path_flags

with epy.lazy_imports():
    import tensorflow as tf

    from data_pipelines import prepare
    from xmcgan.training import checkpoint_files, summaries
    from xmcgan.training import workdir as workdir_lib

_KILLS = flags.DEFINE_integer("kills", 50, "How many times to kill the run.", lower_bound=1)
_NUM_STEPS = flags.DEFINE_integer("num_steps", 0, "Training steps; 0: enough for all kills.", lower_bound=0)
_SEED = command_line.define_seed("Seed of the moments.")
_SCRATCH = path_flags.define_path("scratch", None, "Folder for all files, which are removed. [the system's]")

# Lines are logged, checkpoints saved and grids drawn at different intervals, so that a kill falls between some of them.
_LOG_EVERY = 10
_SETTINGS = (
    "--dataset=scenes",
    "--config.generator.channels=1",
    "--config.discriminator.channels=1",
    "--config.training.batch_size=4",
    "--config.training.steps_per_call=10",
    f"--config.training.log_every={_LOG_EVERY}",
    "--config.training.checkpoint_every=30",
    "--config.training.sample_every=300",
    "--config.training.keep_every=600",
)
_MOST_LINES = 5  # Most lines that a run logs before it is killed.
# Most steps that a run trains before it is killed.
STEPS_OF_A_KILL = _LOG_EVERY * _MOST_LINES
# Longest seconds before a kill: after the run begins to save, and after its process has started.
_SAVING, _STARTING = 0.05, 8.0
_ROW = "{:>4}  {:<8} {:<24} {:<13} {}"


def main(argv: list[str]) -> None:
    """Kills runs and prints whether the numbers are the same."""
    del argv
    least = STEPS_OF_A_KILL * (_KILLS.value + 1)
    num_steps = _NUM_STEPS.value or least
    if num_steps < least:
        raise ValueError(f"--num_steps={num_steps} may end before {_KILLS.value} kills: give {least} or more")
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        data_dir = pathlib.Path(scratch) / "data"
        prepare.prepare_scenes(data_dir, num_train=60, num_val=20)
        prepare.prepare_text_model(data_dir, steps=2)
        undisturbed, killed = (
            Training(data_dir, pathlib.Path(scratch) / name, num_steps) for name in ("undisturbed", "killed")
        )
        print(f"{num_steps} steps undisturbed: {undisturbed.finish():.1f} s", flush=True)
        kill_repeatedly(killed, _KILLS.value, _SEED.value, say=lambda line: print(line, flush=True))
        killed.finish()
        lines = undisturbed.lines(), killed.lines()
        tensors = undisturbed.tensors(), killed.tensors()
    names = sorted({*tensors[0], *tensors[1]})
    different = [name for name in names if not _same(*(run.get(name) for run in tensors))]
    print(f"metrics.jsonl, {len(lines[0])} lines: {'the same' if lines[0] == lines[1] else 'DIFFERENT'}")
    print(f"last checkpoint, {len(tensors[0])} tensors: {len(different) or 'none'} different")
    if different or lines[0] != lines[1]:
        first = f": {different[0]} first" if different else ""
        raise ValueError(f"after {_KILLS.value} kills the numbers differ from those of an undisturbed run{first}")
    print(f"after {_KILLS.value} kills every number is that of an undisturbed run, bit for bit")


class Kill(NamedTuple):
    """One kill of a run."""

    signal: str
    moment: str  # Description of the moment.
    step: int  # Step from which the run resumes.
    left: str  # Description of what it left on the disk.


class Training:
    """A run on scenes that can be started repeatedly, each time in its own process.

    Attributes:
      workdir: the run's folder.
    """

    def __init__(self, data_dir: pathlib.Path, workdir: pathlib.Path, num_steps: int):
        """Initializes it.

        Args:
          data_dir: folder with the scenes and their text model.
          workdir: the run's folder, which is missing or belongs to the same run.
          num_steps: steps of the run.
        """
        self.workdir = workdir
        self._folder = workdir_lib.checkpoint_folder(str(workdir))
        flags = (f"--data_dir={data_dir}", f"--workdir={workdir}", f"--config.training.num_steps={num_steps}")
        self._command = [sys.executable, "-m", "xmcgan.train", *_SETTINGS, *flags]

    def finish(self) -> float:
        """Runs it to its end.

        Returns:
          The seconds that it took.

        Raises:
          RuntimeError: it failed; the message has its output.
        """
        start = time.monotonic()
        process = subprocess.run(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if process.returncode:
            raise RuntimeError(f"the run failed:\n{process.stdout}")
        return time.monotonic() - start

    def kill(self, number: signal.Signals, wait: Callable[[subprocess.Popen], str]) -> Kill:
        """Starts it, waits, and sends a signal.

        Args:
          number: the signal.
          wait: waits for the moment, and returns a description of it.

        Raises:
          RuntimeError: it ended before, failed, or left a checkpoint that cannot be read.
        """
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)
            try:
                moment = wait(process)
                process.send_signal(number)
                status = process.wait()
            finally:
                process.kill()
            # Before it trains, a run does not handle SIGTERM.
            if status not in ((-number,) if number == signal.SIGKILL else (-number, 128 + number)):
                output.seek(0)
                raise RuntimeError(f"{number.name} was sent, and the run ended with status {status}:\n{output.read()}")
        paths = checkpoint_files.listed(self._folder)
        for path in paths:
            reason = checkpoint_files.damage(path)
            if reason:
                raise RuntimeError(f"{path} was damaged by {number.name}: {reason}")
        step = checkpoint_files.step_of(paths[-1]) if paths else 0
        return Kill(number.name, moment, step, self._left(paths))

    def anywhere(self, rng: random.Random) -> Callable[[subprocess.Popen], str]:
        """Returns a function that waits for some new lines, and then for up to as long as the last of them took."""

        def wait(process: subprocess.Popen) -> str:
            before, lines = self._num_lines(), rng.randrange(1, _MOST_LINES)
            moments: list[float] = []
            while process.poll() is None and self._num_lines() < before + lines:
                while len(moments) < self._num_lines() - before:
                    moments.append(time.monotonic())
                time.sleep(0.001)
            seconds = rng.random() * (time.monotonic() - moments[-1] if moments else 0.3)
            time.sleep(seconds)
            return f"{seconds:.3f} s after {lines} new line{'s' if lines > 1 else ''}"

        return wait

    def saving(self, rng: random.Random) -> Callable[[subprocess.Popen], str]:
        """Returns a function that waits until the run saves, and then for a random time."""

        def wait(process: subprocess.Popen) -> str:
            # A resumed run removes the files that the killed one left there.
            old = set(self._incomplete())
            while process.poll() is None and not set(self._incomplete()) - old:
                old &= set(self._incomplete())
                time.sleep(0.0005)
            seconds = rng.uniform(0, _SAVING)
            time.sleep(seconds)
            return f"{seconds:.3f} s into a save"

        return wait

    def starting(self, rng: random.Random) -> Callable[[subprocess.Popen], str]:
        """Returns a function that waits for a random time, while the run starts, restores or begins to train."""

        def wait(process: subprocess.Popen) -> str:
            del process
            seconds = rng.uniform(0, _STARTING)
            time.sleep(seconds)
            return f"{seconds:.3f} s after its start"

        return wait

    def lines(self) -> list[dict]:
        """Returns the lines of metrics.jsonl, without the throughput, which varies."""
        lines = [json.loads(line) for line in (self.workdir / summaries.METRICS_FILE).read_text().splitlines()]
        for line in lines:
            del line["images_per_second"]
        return lines

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns all tensors of the last checkpoint by their names in it."""
        reader = tf.train.load_checkpoint(checkpoint_files.listed(self._folder)[-1])
        names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
        return {name: reader.get_tensor(name) for name in names}

    def _num_lines(self) -> int:
        path = self.workdir / summaries.METRICS_FILE
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def _incomplete(self) -> list[tuple[str, int]]:
        """Returns names and modification times of the temporary files of a checkpoint."""
        folder = pathlib.Path(self._folder) / checkpoint_files.TEMPORARY
        try:
            return [(path.name, path.stat().st_mtime_ns) for path in (folder, *folder.iterdir())]
        except FileNotFoundError:
            return []

    def _left(self, paths: Sequence[str]) -> str:
        steps = ", ".join(str(checkpoint_files.step_of(path)) for path in paths) or "none"
        incomplete = self._incomplete()
        files = sum(name != checkpoint_files.TEMPORARY for name, _ in incomplete)
        return f"checkpoints {steps}" + (f"; {files} incomplete files" if incomplete else "")


def kill_repeatedly(training: Training, kills: int, seed: int, say: Callable[[str], None] = print) -> list[Kill]:
    """Kills a run several times; each resumes from where the last one ended.

    Args:
      training: a run with at least `STEPS_OF_A_KILL` steps for each kill.
      kills: how many times to kill it.
      seed: seed of the moments.
      say: is called with each line of a table.

    Returns:
      The kills.
    """
    rng = random.Random(seed)
    done: list[Kill] = []
    say(_ROW.format("kill", "signal", "moment", "resumes from", "left on the disk"))
    for number in range(1, kills + 1):
        kind, wait = [
            (signal.SIGKILL, training.anywhere(rng)),
            (signal.SIGTERM, training.anywhere(rng)),
            (signal.SIGKILL, training.saving(rng)),
            (signal.SIGTERM, training.saving(rng)),
            (signal.SIGKILL, training.starting(rng)),
            (signal.SIGTERM, training.anywhere(rng)),
        ][(number - 1) % 6]
        kill = training.kill(kind, wait)
        say(_ROW.format(number, kill.signal, kill.moment, f"step {kill.step}", kill.left))
        done.append(kill)
    return done


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Returns whether two arrays both exist and are equal bit for bit."""
    if one is None or other is None:
        return False
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


if __name__ == "__main__":
    command_line.run(main)
