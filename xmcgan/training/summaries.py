"""What a training run tells of itself: curves, lines for machines, images, and its progress on the console."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
import typing

import numpy as np
import tensorflow as tf
import tqdm
from absl import logging

from xmcgan.display import grid
from xmcgan.files import replaced

METRICS_FILE = "metrics.jsonl"


class RunLog:
    """Writes what happens in a run to its workdir and to the console.

    In the workdir: `tensorboard/` (curves and sample grids), `metrics.jsonl` (one line of JSON per logged step) and
    `samples/step_0000250.png`. A run that goes on from a checkpoint drops the lines after the one that it knows of,
    which it will repeat: so no step is ever there twice.
    """

    def __init__(
        self,
        workdir: str,
        start_step: int,
        num_steps: int,
        images_per_step: int,
        headline: typing.Sequence[str] = (),
        logged_step: int | None = None,
        show: bool = True,
    ):
        """Opens the log.

        Args:
          workdir: folder of the run; made if missing.
          start_step: steps done so far; 0 for a new run.
          num_steps: steps of the whole run.
          images_per_step: images that one step trains on, of all replicas together.
          headline: names of the scalars that the console shows, if a step has them (losses may be switched off);
            empty for all.
          logged_step: the last step of which a line is kept, `start_step` by default.
          show: whether a terminal gets a progress bar.
        """
        self._workdir = workdir
        self._num_steps = num_steps
        self._headline = headline
        os.makedirs(workdir, exist_ok=True)
        metrics_path = os.path.join(workdir, METRICS_FILE)
        drop_steps_after(metrics_path, start_step if logged_step is None else logged_step)
        self._metrics = open(metrics_path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close().
        self._writer = tf.summary.create_file_writer(os.path.join(workdir, "tensorboard"))
        self._clock = Clock(start_step, num_steps, images_per_step)
        hidden = None if show else True  # None: where there is no terminal.
        self._bar = tqdm.tqdm(total=num_steps, initial=start_step, unit="step", disable=hidden, dynamic_ncols=True)

    def scalars(self, step: int, values: typing.Mapping[str, typing.Any]) -> None:
        """Logs the numbers of a step, once per step.

        Args:
          step: steps done so far; greater than in the call before (see `Clock.tick`).
          values: numbers, or tensors of one number, by name. `images_per_second` is added to them.
        """
        images_per_second, seconds_left = self._clock.tick(step)
        numbers = {name: float(value) for name, value in values.items()}
        recorded = {**numbers, "images_per_second": images_per_second}

        self._metrics.write(json_line({"step": step, **recorded}))
        self._metrics.flush()
        os.fsync(self._metrics.fileno())  # A checkpoint that is written later must not outlive the line.
        with self._writer.as_default(step=step):
            for name, number in recorded.items():
                tf.summary.scalar(name, number)
        self._writer.flush()

        shown = {name: numbers[name] for name in self._headline or numbers if name in numbers}
        self._say(
            f"step {step}/{self._num_steps}  "
            + "  ".join(f"{name} {number:.4g}" for name, number in shown.items())
            + f"  {images_per_second:.1f} images/s  {format_seconds(seconds_left)} left"
        )
        self._bar.update(step - self._bar.n)

    def grid(
        self,
        step: int,
        images: np.ndarray,
        captions: typing.Sequence[str] = (),
        column_labels: typing.Sequence[str] = (),
    ) -> str:
        """Saves a grid of sample images as a PNG file, and shows it in TensorBoard.

        Args:
          step: steps done so far.
          images: [rows, columns, height, width, 3] uint8.
          captions: of each row.
          column_labels: of each column, such as 'real' and 'generated'.

        Returns:
          The path of the PNG file.
        """
        tiled = grid.image_grid(images, captions, column_labels)
        path = os.path.join(self._workdir, "samples", f"step_{step:07d}.png")
        grid.save_png(path, tiled)
        with self._writer.as_default(step=step):
            tf.summary.image("samples", tiled[None])
        self._writer.flush()
        self._say(f"step {step}/{self._num_steps}  samples in {path}")
        return path

    def close(self) -> None:
        """Closes the files and the progress bar."""
        self._bar.close()
        try:
            self._writer.close()
        finally:
            self._metrics.close()

    def __enter__(self) -> RunLog:
        """Returns the log itself."""
        return self

    def __exit__(self, error: type[BaseException] | None, *exc_info: typing.Any) -> None:
        """Closes the log."""
        # On a full disk, closing fails as well: what is to be told is how it began.
        with contextlib.suppress(*(OSError, tf.errors.OpError) if error else ()):
            self.close()

    def _say(self, line: str) -> None:
        with tqdm.tqdm.external_write_mode(file=sys.stderr):  # Takes the bar away while the line is written.
            logging.info("%s", line)


class PendingMetrics:
    """Steps that have been trained and not yet logged.

    A checkpoint carries them along, so that a run that was stopped between two lines logs the same numbers.

    Attributes:
      steps: how many there are.
    """

    def __init__(self, note: typing.Mapping[str, typing.Any]):
        """Takes up what a checkpoint carried along.

        Args:
          note: what `note` gave, or empty: of a new run, or of a checkpoint without one.
        """
        self.steps: int = note.get("steps", 0)
        self._sums: dict[str, float] = dict(note.get("sums", {}))

    def add(self, metrics: typing.Mapping[str, np.ndarray]) -> None:
        """Adds steps.

        Args:
          metrics: {name: [steps]}.
        """
        if metrics.keys() != self._sums.keys():  # Also where another version wrote the checkpoint.
            self.clear()
            self._sums = dict.fromkeys(metrics, 0.0)
        for name, values in metrics.items():
            for value in values.tolist():  # One after the other: the same sum wherever the run was stopped.
                self._sums[name] += value
        self.steps += len(next(iter(metrics.values())))

    def means(self) -> dict[str, float]:
        """The mean of each metric; only where there are steps."""
        return {name: total / self.steps for name, total in self._sums.items()}

    def clear(self) -> None:
        """Forgets the steps, after they have been logged."""
        self.steps = 0
        self._sums = {}

    def note(self) -> dict[str, typing.Any]:
        """The steps as JSON, which keeps every bit."""
        return {"steps": self.steps, "sums": self._sums}


class Clock:
    """Speed and time left of a run, from the moments at which its steps are logged."""

    def __init__(
        self, start_step: int, num_steps: int, images_per_step: int, now: typing.Callable[[], float] = time.monotonic
    ):
        """Starts the clock.

        Args:
          start_step: steps done so far.
          num_steps: steps of the whole run.
          images_per_step: images that one step trains on.
          now: the seconds since any fixed moment.
        """
        self._num_steps = num_steps
        self._images_per_step = images_per_step
        self._now = now
        self._origin = self._last = (start_step, now())
        self._ticks = 0

    def tick(self, step: int) -> tuple[float, float]:
        """Notes that `step` steps are done.

        Args:
          step: greater than in the call before; in the first call it may be the step that the clock was started at.

        Returns:
          images_per_second: since the call before.
          seconds_left: to the end of the run, at the mean speed so far; infinite where nothing is known of it.

        Raises:
          ValueError: the step is not greater.
        """
        moment = self._now()
        last_step, last_moment = self._last
        if step == last_step and not self._ticks:  # Trained before the run was stopped, and logged only now.
            return 0.0, math.inf
        if step <= last_step:
            raise ValueError(f"step {step} cannot be logged after step {last_step}")
        images_per_second = (step - last_step) * self._images_per_step / max(moment - last_moment, 1e-9)

        origin_step, origin_moment = self._origin
        seconds_left = (self._num_steps - step) * (moment - origin_moment) / (step - origin_step)
        self._last = (step, moment)
        self._ticks += 1
        if self._ticks == 1:  # The first steps were compiled as well: they say little about the ones to come.
            self._origin = self._last
        return images_per_second, seconds_left


def drop_steps_after(path: str, step: int) -> None:
    """Removes from a file of JSON lines those of steps after `step`, and a last line that was cut off.

    Args:
      path: written by `RunLog`; may be missing.
      step: the last one to keep.

    Raises:
      ValueError: another line of the file is not JSON.
    """

    def step_of(number: int, line: str) -> int:
        try:
            return json.loads(line)["step"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}: line {number} is no line of metrics: remove it, or the file") from None

    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        lines = file.readlines()
    whole = [line for line in lines if line.endswith("\n")]
    kept = [line for number, line in enumerate(whole, start=1) if step_of(number, line) <= step]
    if kept != lines:
        with replaced(path) as shortened:
            shortened.writelines(kept)


def json_line(values: typing.Mapping[str, float]) -> str:
    """One line of strict JSON.

    Numbers read back exactly. JSON has no NaN and no infinities: they are the strings 'nan', 'inf' and '-inf', which
    Python's and NumPy's `float` read.
    """
    strict = {name: number if math.isfinite(number) else str(number) for name, number in values.items()}
    return json.dumps(strict, allow_nan=False) + "\n"


def format_seconds(seconds: float) -> str:
    """'9 s', '4:05 min', '12:04 h' or 'an unknown time'."""
    if math.isinf(seconds):
        return "an unknown time"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02d} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h"
