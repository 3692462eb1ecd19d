"""Runs commands in separate processes that do not have to import TensorFlow and other libraries again.

A server imports the libraries once for all tests of a process and forks for each command (the fork server of
`multiprocessing`), so that a command starts in milliseconds instead of seconds. Everything else is as with `python -m`:
flags, output, exit status and signals. Tests of the start itself use `processes.start_python`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from multiprocessing import connection

from tests.support.processes import ROOT, finish

# Modules that commands import. The commands themselves are missing, as they define flags. Unknown names are ignored.
_PRELOADED = (
    "tests.support.garbage",
    "keras",
    "matplotlib.figure",
    "scipy.linalg",
    "tensorflow",
    "tensorflow_datasets",
    "tensorflow_hub",
    "tensorflow_text",
    "data_pipelines.prepare",
    "data_pipelines.training_data",
    "eval.evaluation",
    "xmcgan.text_to_image",
    "xmcgan.training.loop",
)
# Commands set this before TensorFlow is loaded; here the server loads TensorFlow for them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class Command:
    """A running command, with those members of `subprocess.Popen` that tests use."""

    def __init__(self, module: str, *arguments: object, environment: Mapping[str, str] = os.environ):
        """Starts it.

        Args:
          module: the module, as after `python -m`.
          *arguments: arguments of the command.
          environment: environment variables of the process.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        self.args = ["python", "-m", module, *map(str, arguments)]
        output, its_output = context.Pipe(duplex=False)
        errors, its_errors = context.Pipe(duplex=False)
        call = (self.args[2:], dict(environment), its_output, its_errors)
        self._process = context.Process(target=_run, args=call, daemon=True)  # Killed when the tests end.
        self._process.start()
        its_output.close()
        its_errors.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(each.fileno()), "r") for each in (output, errors))
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative if a signal ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """See `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it ends; returns its exit status.

        Raises:
          subprocess.TimeoutExpired: it did not end in time.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits until it ends, and returns its output and errors since the last read."""
        read: dict[str, str] = {}
        readers = [
            threading.Thread(target=lambda name=name: read.update({name: getattr(self, name).read()}), daemon=True)
            for name in ("stdout", "stderr")
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        self.stdout.close()
        self.stderr.close()
        return read["stdout"], read["stderr"]

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it."""
        self._process.kill()


def run_without_gpus(module: str, *arguments: object) -> str:
    """Runs a module without GPUs, which must succeed; returns its output and errors."""
    return finish(Command(module, *arguments, environment={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}))


def run_program(program: str, *arguments: object) -> str:
    """Runs a program, which is given as text, without GPUs and before TensorFlow has looked for its devices.

    Args:
      program: Python statements.
      *arguments: its arguments, `sys.argv[1:]`.

    Returns:
      Its output and errors; it must succeed.
    """
    return run_without_gpus("tests.support.script", textwrap.dedent(program), *arguments)


def _run(
    arguments: list[str],
    environment: dict[str, str],
    output: connection.Connection,
    errors: connection.Connection,
) -> None:
    """Runs `python -m MODULE ARGUMENTS` in the forked process."""
    os.dup2(output.fileno(), 1)
    os.dup2(errors.fileno(), 2)
    output.close()
    errors.close()
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = arguments
    multiprocessing.set_start_method(None, force=True)
    multiprocessing.current_process()._config["daemon"] = False  # It may start processes itself.
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
