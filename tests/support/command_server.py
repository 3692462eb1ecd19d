"""A process that imports TensorFlow and other libraries once, and forks for each command that a test runs.

  python -m tests.support.command_server LISTENER

LISTENER is the number of a listening socket. A client sends two file descriptors, for output and errors, and a line of
JSON: the module, its arguments and the environment. It receives two lines: the process's number, and at its end its
exit status, negative if a signal ended it. The server ends when its standard input is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback

from tests.support.processes import ROOT

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


def main() -> None:
    """Serves until the standard input is closed."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for the processes that `_serve` waits in.
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _serve(connection)
        connection.close()


def _serve(connection: socket.socket) -> None:
    """Runs a command in a process of its own, and waits for its end. Does not return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, *_ = socket.recv_fds(connection, 1, 2)
    arguments, environment = json.loads(connection.makefile().readline())
    pid = os.fork()
    if pid == 0:
        connection.close()
        os._exit(_run(arguments, environment, *streams))
    for stream in streams:
        os.close(stream)
    with contextlib.suppress(BrokenPipeError):  # The tests have ended.
        connection.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _run(arguments: list[str], environment: dict[str, str], output: int, errors: int) -> int:
    """Runs `python -m MODULE ARGUMENTS`; returns its exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.closerange(3, 1024)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = arguments
    status = 0
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # Waits for threads, as Python does at its end.
    atexit._run_exitfuncs()
    return status


if __name__ == "__main__":
    main()
