"""The log of a training run: TensorBoard, metrics.jsonl, sample grids, and progress on the console."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
import typing

import msgspec
import numpy as np
import tensorflow as tf
import tqdm
from absl import logging

from xmcgan import text_files
from xmcgan.display import grid
from xmcgan.files import replaced

METRICS_FILE = "metrics.jsonl"
_MAX_BYTES = 4 << 30  # A run of a million logged steps writes less.


class _Line(msgspec.Struct):
    step: int


class RunLog:
    """Writes metrics and samples of a run to its workdir and to the console.

    The workdir receives `tensorboard/` (curves and sample grids), `metrics.jsonl` (one line of JSON per logged step)
    and `samples/step_0000250.png`. A run that resumes from a checkpoint drops the lines of later steps, which it will
    log again, so that no step appears twice.
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
          headline: names of the metrics that the console shows, if a step has them (losses may be switched off); empty
            for all.
          logged_step: the last step whose line is kept; `start_step` by default.
          show: whether to show a progress bar on a terminal.
        """
        self._workdir = workdir
        self._num_steps = num_steps
        self._headline = headline
        os.makedirs(workdir, exist_ok=True)
        metrics_path = os.path.join(workdir, METRICS_FILE)
        drop_steps_after(metrics_path, start_step if logged_step is None else logged_step)
        self._metrics = open(metrics_path, "a", encoding="utf-8")  # noqa: SIM115 - closed by close().
        self._writer = create_writer(workdir)
        self._clock = Clock(start_step, num_steps, images_per_step)
        hidden = None if show else True  # None hides the bar where there is no terminal.
        self._bar = tqdm.tqdm(total=num_steps, initial=start_step, unit="step", disable=hidden, dynamic_ncols=True)

    def compiled(self, step: int) -> None:
        """Measures the speed from this step on: the first step of a process is compiled before it is run."""
        self._clock.restart(step)

    def scalars(self, step: int, values: typing.Mapping[str, typing.Any]) -> None:
        """Logs the metrics of a step.

        Args:
          step: steps done so far; greater than in the previous call (see `Clock.tick`).
          values: numbers, or tensors of one number, by name. `images_per_second` is added to them.
        """
        images_per_second, seconds_left = self._clock.tick(step)
        numbers = {name: float(value) for name, value in values.items()}
        recorded = {**numbers, "images_per_second": images_per_second}

        self._metrics.write(json_line({"step": step, **recorded}))
        self._metrics.flush()
        os.fsync(self._metrics.fileno())  # If a later checkpoint survives a power failure, so must this line.
        with self._writer.as_default(step=step):
            for name, number in recorded.items():
                tf.summary.scalar(name, number)
        self._writer.flush()

        shown = {name: numbers[name] for name in self._headline or numbers if name in numbers}
        words = [f"step {step}/{self._num_steps}", *(f"{name} {number:.4g}" for name, number in shown.items())]
        if math.isfinite(seconds_left):
            words += [f"{images_per_second:.1f} images/s", f"{format_seconds(seconds_left)} left"]
        self._say("  ".join(words))
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
          captions: one per row.
          column_labels: one per column, such as 'real' and 'generated'.

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
        # On a full disk, closing fails as well; the first error is the one to report.
        with contextlib.suppress(*(OSError, tf.errors.OpError) if error else ()):
            self.close()

    def _say(self, line: str) -> None:
        with tqdm.tqdm.external_write_mode(file=sys.stderr):  # Hides the bar while the line is written.
            logging.info("%s", line)


class PendingMetrics:
    """Sums of the metrics of steps that have been trained but not logged yet.

    They are saved beside each checkpoint, so that a run that was stopped between two log steps logs the same numbers.

    Attributes:
      steps: the number of these steps.
    """

    def __init__(self, note: typing.Mapping[str, typing.Any]):
        """Restores the sums from a checkpoint's note.

        Args:
          note: as returned by the method `note`; empty for a new run, or a checkpoint without a note.
        """
        self.steps: int = note.get("steps", 0)
        self._sums: dict[str, float] = dict(note.get("sums", {}))

    def add(self, metrics: typing.Mapping[str, np.ndarray]) -> None:
        """Adds the metrics of further steps.

        Args:
          metrics: {name: [steps]}.
        """
        if metrics.keys() != self._sums.keys():  # At first, or if another version wrote the checkpoint.
            self.clear()
            self._sums = dict.fromkeys(metrics, 0.0)
        for name, values in metrics.items():
            for value in values.tolist():  # One by one, so that the sum does not depend on where the run was stopped.
                self._sums[name] += value
        self.steps += len(next(iter(metrics.values())))

    def means(self) -> dict[str, float]:
        """Returns the mean of each metric; requires at least one step."""
        return {name: total / self.steps for name, total in self._sums.items()}

    def clear(self) -> None:
        """Clears the sums, after the steps have been logged."""
        self.steps = 0
        self._sums = {}

    def note(self) -> dict[str, typing.Any]:
        """Returns the sums as a JSON object, which keeps every bit."""
        return {"steps": self.steps, "sums": self._sums}


class Clock:
    """Measures the speed of a run and the time left, from the times at which its steps are logged."""

    def __init__(
        self, start_step: int, num_steps: int, images_per_step: int, now: typing.Callable[[], float] = time.monotonic
    ):
        """Starts the clock.

        Args:
          start_step: steps done so far.
          num_steps: steps of the whole run.
          images_per_step: images that one step trains on.
          now: returns the seconds since some fixed moment.
        """
        self._num_steps = num_steps
        self._images_per_step = images_per_step
        self._now = now
        self.restart(start_step)

    def restart(self, step: int) -> None:
        """Measures from this step and moment on, such as when everything is compiled."""
        self._origin = self._last = (step, self._now())

    def tick(self, step: int) -> tuple[float, float]:
        """Records that `step` steps are done.

        Args:
          step: greater than in the previous call; in the first call it may be that at which the clock was started.

        Returns:
          images_per_second: since the previous call; 0 if it is not known.
          seconds_left: until the end of the run, at the mean speed so far; infinite if the speed is not known.

        Raises:
          ValueError: the step is not greater.
        """
        moment = self._now()
        last_step, last_moment = self._last
        origin_step, origin_moment = self._origin
        if step == last_step == origin_step:
            return 0.0, math.inf
        if step <= last_step:
            raise ValueError(f"step {step} cannot be logged after step {last_step}")
        images_per_second = (step - last_step) * self._images_per_step / max(moment - last_moment, 1e-9)
        self._last = (step, moment)
        return images_per_second, (self._num_steps - step) * (moment - origin_moment) / (step - origin_step)


def create_writer(workdir: str) -> tf.summary.SummaryWriter:
    """Returns a writer of the run's TensorBoard curves.

    Raises:
      OSError: `tensorboard` in the workdir is a file, or cannot be written to.
    """
    folder = os.path.join(workdir, "tensorboard")
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise FileExistsError(f"{folder} is not a folder, and the run's curves belong there: rename or remove it")
    os.makedirs(folder, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{folder} cannot be written to, and the run's curves are written there: make it writable"
        )
    return tf.summary.create_file_writer(folder)


def drop_steps_after(path: str, step: int) -> None:
    """Removes the lines of later steps from a file of JSON lines, and a last line that was cut off.

    Args:
      path: of the file that `RunLog` wrote; may be missing.
      step: the last step to keep.

    Raises:
      ValueError: another line of the file is not JSON.
    """

    def step_of(number: int, line: str) -> int:
        try:
            return text_files.parse_json(line, _Line, path).step
        except ValueError:
            raise ValueError(f"{path}: line {number} is not a line of metrics: remove it, or the file") from None

    if not os.path.exists(path):
        return
    lines = text_files.read_text(path, max_bytes=_MAX_BYTES).splitlines(keepends=True)
    complete = [line for line in lines if line.endswith("\n")]
    kept = [line for number, line in enumerate(complete, start=1) if step_of(number, line) <= step]
    if kept != lines:
        with replaced(path) as shortened:
            shortened.writelines(kept)


def json_line(values: typing.Mapping[str, float]) -> str:
    """Returns one line of strict JSON.

    Numbers can be read back exactly. JSON has no NaN and no infinities; they become the strings 'nan', 'inf' and
    '-inf', which `float` in Python and NumPy can read.
    """
    strict = {name: number if math.isfinite(number) else str(number) for name, number in values.items()}
    return json.dumps(strict, allow_nan=False) + "\n"


def format_seconds(seconds: float) -> str:
    """Formats a duration as '9 s', '4:05 min', '12:04 h' or 'an unknown time'."""
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
