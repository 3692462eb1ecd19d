"""Trains and evaluates runs, one after another or several at once, each in its own processes."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any, Callable

from data_pipelines import datasets
from eval import results
from experiments.ablation.device_shares import Share, shares_of_machine
from experiments.ablation.jobs import Job
from xmcgan import locks, text_files
from xmcgan.training.summaries import METRICS_FILE

_LOG, _LOCK = "log.txt", ".job.lock"  # Not the lock of the run itself, which its training holds.
_EVERY = 60.0  # Seconds between two progress reports.
WAITING, TRAINING, EVALUATING, DONE, FAILED = "waiting", "training", "evaluating", "done", "failed"


def commands_of(job: Job, data_dir: str) -> list[tuple[str, list[str]]]:
    """Returns the steps of a run with their commands: its training, and the evaluation of its last step."""
    changes = job.config.changes(since=datasets.preset(job.config.dataset, data_dir=data_dir))
    where = [f"--workdir={job.folder}", f"--data_dir={data_dir}"]
    python = [sys.executable, "-m"]
    fields = [f"--config.{name}={value}" for name, value in changes.items()]
    train = [*python, "xmcgan.train", f"--dataset={job.config.dataset}", *where, *fields]
    return [(TRAINING, train), (EVALUATING, [*python, "eval.evaluate", *where])]


class Runner:
    """Runs jobs: skips finished ones, resumes killed ones, and continues with the others if one fails."""

    def __init__(self, data_dir: str, say: Callable[[str], None] = print):
        """Initializes it.

        Args:
          data_dir: folder of all records.
          say: called with each table of progress, to print it.
        """
        self._data_dir, self._say = data_dir, say
        self._states: dict[str, str] = {}  # By folder.
        self._failures: dict[str, str] = {}  # Reasons by folder.
        self._shares: queue.SimpleQueue[Share] = queue.SimpleQueue()  # Free shares of the machine.
        self._processes: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, jobs: Sequence[Job], parallel: int = 1) -> dict[str, str]:
        """Runs jobs, and reports the progress whenever one ends, and every minute.

        Args:
          jobs: the jobs to run.
          parallel: how many to run at once, each on its own share of the machine.

        Returns:
          The reasons of failed jobs, one line each, by folder.
        """
        self._failures = {}
        self._states = {job.folder: WAITING for job in jobs}
        for share in shares_of_machine(parallel, math.gcd(*(job.config.training.batch_size for job in jobs))):
            self._shares.put(share)
        with futures.ThreadPoolExecutor(parallel) as threads:
            try:
                running = {threads.submit(self._run, job) for job in jobs}
                while running:
                    ended, _ = futures.wait(running, timeout=_EVERY, return_when=futures.FIRST_COMPLETED)
                    for future in ended:
                        running.remove(future)
                        future.result()
                    self._say(self.table(jobs))
            except BaseException:
                self._stop()
                threads.shutdown(cancel_futures=True)
                raise
        return dict(self._failures)

    def table(self, jobs: Sequence[Job]) -> str:
        """Returns a table of the jobs: the progress of each, and its first score or the reason why it failed."""
        lines = []
        for job in jobs:
            state, more = self._states[job.folder], ""
            if state == TRAINING:
                state = f"{state} {_share_done(job):.0%}"
            elif state == DONE:
                more = _first_score(job)
            elif state == FAILED:
                more = " ".join(self._failures[job.folder].split())
            lines.append(f"{state:<14} seed {job.config.training.seed}  {', '.join(job.rows)}  {more}".rstrip())
        return "\n".join(lines)

    def _run(self, job: Job) -> None:
        """Runs a job, and records the reason if it fails."""
        share = self._shares.get()
        try:
            self._check_not_stopped()  # Comes first, so that a run that will not start gets no folder.
            if not job.is_finished():
                with _locked(job.folder) as lock:
                    for state, command in commands_of(job, self._data_dir):
                        self._states[job.folder] = state
                        self._call(command, share, os.path.join(job.folder, _LOG), lock)
                    if not os.path.exists(job.result_path):
                        raise ValueError(f"{job.result_path} was not written: see {os.path.join(job.folder, _LOG)}")
                    job.finish()
        except (OSError, ValueError) as error:
            self._failures[job.folder] = str(error)
            self._states[job.folder] = FAILED
        else:
            self._states[job.folder] = DONE
        finally:
            self._shares.put(share)

    def _call(self, command: list[str], share: Share, log: str, lock: int) -> None:
        with open(log, "ab") as output:
            with self._lock:
                self._check_not_stopped()
                # In its own session: otherwise Ctrl-C would reach it, too, and a second signal ends training at once.
                process = subprocess.Popen(
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **share.environment},
                    pass_fds=[lock],  # The child keeps the lock if this process is killed.
                    start_new_session=True,
                )
                self._processes.add(process)
                share.bind(process.pid)
            status = process.wait()
            self._processes.discard(process)
        if status:
            with open(log, encoding="utf-8", errors="replace") as output:
                lines = output.read().split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "")
            raise ValueError(f"{command[2]} ended with status {status}: {last} (see {log})")

    def _check_not_stopped(self) -> None:
        if self._stopped:
            raise ValueError("stopped")

    def _stop(self) -> None:
        """Ends the running processes with SIGTERM, so that trainings save first."""
        with self._lock:
            self._stopped = True
        for process in list(self._processes):
            process.terminate()
        for process in list(self._processes):
            process.wait()


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[int]:
    """Makes a run's folder and locks it against other processes; yields the file descriptor of the lock.

    Raises:
      ValueError: another process has locked it.
    """
    os.makedirs(folder, exist_ok=True)
    try:
        with locks.lock(os.path.join(folder, _LOCK), wait=False) as descriptor:
            yield descriptor
    except locks.InUseError as error:
        raise ValueError(f"{error}: wait until it has finished, or stop it") from error


def _first_score(job: Job) -> str:
    """Returns the first score of a finished run, such as 'FD/scenes 44.61'."""
    return next((f"{each.name} {each.value:.4g}" for each in results.read(job.result_path).scores), "")


def _share_done(job: Job) -> float:
    """Returns the share of a run's steps that it has logged, 0 .. 1."""
    path = os.path.join(job.folder, METRICS_FILE)
    if not os.path.exists(path):
        return 0.0
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file if line.endswith("\n")]
    return (
        text_files.parse_json(lines[-1], dict[str, Any], path)["step"] / job.config.training.num_steps if lines else 0.0
    )
