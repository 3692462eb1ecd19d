"""Commands in processes of their own that need not import TensorFlow and the like again.

A server imports the libraries once for all tests of a process and forks for each command (`multiprocessing`'s fork
server), so that a start takes milliseconds instead of seconds. All else is as by `python -m`: flags, output, status and
signals. What is proved of starting itself takes `processes.start_python`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing import connection

from tests.support.processes import ROOT, finish

# What commands import, but for the commands themselves, which define flags. A name that is gone is passed over.
_PRELOADED = (
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
# As commands set it before TensorFlow is loaded, which the server does in their place.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class Command:
    """A command at work, with those members of `subprocess.Popen` that tests use."""

    def __init__(self, module: str, *arguments: object, environment: Mapping[str, str] = os.environ):
        """Starts it.

        Args:
          module: as after `python -m`.
          *arguments: of the command.
          environment: variables of the process.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        self.args = ["python", "-m", module, *map(str, arguments)]
        output, its_output = context.Pipe(duplex=False)
        errors, its_errors = context.Pipe(duplex=False)
        call = (self.args[2:], dict(environment), its_output, its_errors)
        self._process = context.Process(target=_run, args=call, daemon=True)  # Ended with the tests, if it has not.
        self._process.start()
        its_output.close()
        its_errors.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(each.fileno()), "r") for each in (output, errors))
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its status, negative if a signal ended it; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """See `returncode`."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end.

        Raises:
          subprocess.TimeoutExpired: it did not come in time.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for its end, and returns what it printed since: output and errors."""
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
        """Sends it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()


def run_without_gpus(module: str, *arguments: object) -> str:
    """Runs a module to its good end, with no GPU to be seen; returns what it printed and logged."""
    return finish(Command(module, *arguments, environment={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}))


def _run(
    arguments: list[str],
    environment: dict[str, str],
    output: connection.Connection,
    errors: connection.Connection,
) -> None:
    """What the forked process does: `python -m MODULE ARGUMENTS`."""
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
    multiprocessing.current_process()._config["daemon"] = False  # It may have processes of its own.
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
