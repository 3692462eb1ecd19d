"""A training run that is killed again and again: each time in a process of its own."""

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
import tensorflow as tf

from xmcgan.training import checkpoint_files
from xmcgan.training.summaries import METRICS_FILE
from xmcgan.training.workdir import checkpoint_folder

# Lines are logged, checkpoints saved and grids drawn in different rhythms: a run that is stopped is in the middle of
# some of them.
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
_MOST_LINES = 5  # That a run logs before it is killed.
# Steps that a run gets on before it is killed, at the most.
STEPS_OF_A_KILL = _LOG_EVERY * _MOST_LINES
# Seconds within which a run is killed after it begins to save, and after its process has begun.
_SAVING, _STARTING = 0.05, 8.0


class Kill(NamedTuple):
    """One end of a run before its time."""

    signal: str
    moment: str  # In words.
    step: int  # That the run goes on from.
    left: str  # On the disk, in words.


class Training:
    """A run on scenes that can be started in a process of its own, again and again.

    Attributes:
      workdir: the run's folder.
    """

    def __init__(self, data_dir: pathlib.Path, workdir: pathlib.Path, num_steps: int):
        """Args:
        data_dir: has the scenes and their text model.
        workdir: the run's folder; missing, or of the same run.
        num_steps: of the run.
        """
        self.workdir = workdir
        self._folder = checkpoint_folder(str(workdir))
        flags = (f"--data_dir={data_dir}", f"--workdir={workdir}", f"--config.training.num_steps={num_steps}")
        self._command = [sys.executable, "-m", "xmcgan.train", *_SETTINGS, *flags]

    def finish(self) -> float:
        """Runs it to its end.

        Returns:
          Seconds that it took.

        Raises:
          RuntimeError: it failed; with what it printed.
        """
        start = time.monotonic()
        process = subprocess.run(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if process.returncode:
            raise RuntimeError(f"the run failed:\n{process.stdout}")
        return time.monotonic() - start

    def kill(self, number: signal.Signals, wait: Callable[[subprocess.Popen], str]) -> Kill:
        """Starts it, waits, and sends a signal.

        Args:
          number: of the signal.
          wait: for the moment, which it puts into words.

        Raises:
          RuntimeError: it came to its end before, failed, or left a checkpoint that cannot be read.
        """
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)
            try:
                moment = wait(process)
                process.send_signal(number)
                status = process.wait()
            finally:
                process.kill()
            # A run that does not train yet does not handle the signal.
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
        """Waits for some new lines, and for up to as long as the last of them took."""

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
        """Waits for the run to save."""

        def wait(process: subprocess.Popen) -> str:
            # What the one before left there is cleared when the run goes on.
            old = set(self._aside())
            while process.poll() is None and not set(self._aside()) - old:
                old &= set(self._aside())
                time.sleep(0.0005)
            seconds = rng.uniform(0, _SAVING)
            time.sleep(seconds)
            return f"{seconds:.3f} s into a save"

        return wait

    def starting(self, rng: random.Random) -> Callable[[subprocess.Popen], str]:
        """Waits for a moment in which the run restores, or has hardly begun."""

        def wait(process: subprocess.Popen) -> str:
            del process
            seconds = rng.uniform(0, _STARTING)
            time.sleep(seconds)
            return f"{seconds:.3f} s after its start"

        return wait

    def lines(self) -> list[dict]:
        """The lines of metrics.jsonl, without the one number that time decides."""
        lines = [json.loads(line) for line in (self.workdir / METRICS_FILE).read_text().splitlines()]
        for line in lines:
            del line["images_per_second"]
        return lines

    def tensors(self) -> dict[str, np.ndarray]:
        """All numbers of the last checkpoint by their places in it."""
        reader = tf.train.load_checkpoint(checkpoint_files.listed(self._folder)[-1])
        names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
        return {name: reader.get_tensor(name) for name in names}

    def _num_lines(self) -> int:
        path = self.workdir / METRICS_FILE
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def _aside(self) -> list[tuple[str, int]]:
        """Names and times of what is being written of a checkpoint."""
        folder = pathlib.Path(self._folder) / checkpoint_files.TEMPORARY
        try:
            return [(path.name, path.stat().st_mtime_ns) for path in (folder, *folder.iterdir())]
        except FileNotFoundError:
            return []

    def _left(self, paths: Sequence[str]) -> str:
        steps = ", ".join(str(checkpoint_files.step_of(path)) for path in paths) or "none"
        aside = sum(name != checkpoint_files.TEMPORARY for name, _ in self._aside())
        return f"checkpoints {steps}" + (f"; {aside} files aside" if self._aside() else "")


def kill_over_and_over(training: Training, kills: int, seed: int, tell: Callable[[str], None] = print) -> list[Kill]:
    """Kills a run so many times, each of which goes on from where the last one ended.

    Args:
      training: with `STEPS_OF_A_KILL` steps or more for each kill.
      kills: how many times.
      seed: of the moments.
      tell: is given the lines of a table, as they come.

    Returns:
      What each did.
    """
    rng = random.Random(seed)
    done: list[Kill] = []
    tell(_ROW.format("kill", "signal", "moment", "goes on from", "left on the disk"))
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
        tell(_ROW.format(number, kill.signal, kill.moment, f"step {kill.step}", kill.left))
        done.append(kill)
    return done


_ROW = "{:>4}  {:<8} {:<24} {:<13} {}"
