"""Runs commands in separate processes that do not have to import TensorFlow and other libraries again.

One server for all test processes forks for each command (see `command_server`), so that a command starts in
milliseconds instead of seconds. Everything else is as with `python -m`: flags, output, exit status and signals. Tests
of the start itself use `processes.start_python`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import weakref
from collections.abc import Mapping

from tests.support.processes import ROOT, finish

# The server's socket, for the test processes that xdist starts.
_ADDRESS = "XMCGAN_TESTS_COMMAND_SERVER"
# Commands set this before TensorFlow is loaded; here the server loads TensorFlow for them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def start_server() -> None:
    """Starts the server for this process and those that it will start, unless it runs. It ends with this process."""
    if _ADDRESS in os.environ:
        return
    address = os.path.join(tempfile.mkdtemp(), "commands")
    with socket.socket(socket.AF_UNIX) as listener, open(f"{address}.log", "wb") as log:
        listener.bind(address)
        listener.listen(64)
        number = listener.fileno()
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.command_server", str(number)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # Tests run beside commands.
            stdin=subprocess.PIPE,
            stderr=log,  # What libraries say while they are imported.
            pass_fds=[number],
        )
    os.environ[_ADDRESS] = address
    atexit.register(_stop, server, address)


def _stop(server: subprocess.Popen, address: str) -> None:
    server.stdin.close()
    server.wait()
    shutil.rmtree(os.path.dirname(address))


class Command:
    """A running command, with those members of `subprocess.Popen` that tests use."""

    def __init__(self, module: str, *arguments: object, environment: Mapping[str, str] = os.environ):
        """Starts it.

        Args:
          module: the module, as after `python -m`.
          *arguments: arguments of the command.
          environment: environment variables of the process.
        """
        start_server()
        self.args = ["python", "-m", module, *map(str, arguments)]
        self.returncode: int | None = None  # Its exit status, negative if a signal ended it; None while it runs.
        output, errors = os.pipe(), os.pipe()
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(os.environ[_ADDRESS])
        socket.send_fds(self._connection, [b"x"], [output[1], errors[1]])
        self._connection.sendall(json.dumps([self.args[2:], dict(environment)]).encode() + b"\n")
        os.close(output[1])
        os.close(errors[1])
        self.stdout, self.stderr = os.fdopen(output[0]), os.fdopen(errors[0])
        self._answers = self._connection.makefile()
        pid = self._answers.readline()
        if not pid:
            with open(f"{os.environ[_ADDRESS]}.log") as log:
                raise RuntimeError(f"the server of commands has failed: {log.read()}")
        self.pid = int(pid)
        _kill_at_exit.add(self)

    def poll(self) -> int | None:
        """Returns its exit status if it has ended, or else None."""
        if self.returncode is None and select.select([self._connection], [], [], 0.0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it ends; returns its exit status.

        Raises:
          subprocess.TimeoutExpired: it did not end in time.
        """
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._connection.close()
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
        self.send_signal(signal.SIGKILL)


_kill_at_exit: weakref.WeakSet[Command] = weakref.WeakSet()


@atexit.register
def _kill_what_runs() -> None:
    for command in _kill_at_exit:
        command.kill()


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
