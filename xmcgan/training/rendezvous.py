"""Waiting for the other workers of a run, before TensorFlow connects to them.

TensorFlow waits for an hour without a word, and signals do not end it. So the workers first meet here, on the same
ports: each calls every other one and greets it, and goes on once it has reached, and been greeted by, all of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import threading
import time
import zlib
from collections.abc import Iterator, Sequence

from absl import logging

_PATIENCE = 1800.0  # Seconds to wait for all workers. A cluster may start them minutes apart.
_UNRESOLVED = 300.0  # Seconds to wait for a name that does not resolve; some clusters only make it with the machine.
_QUIET, _SECONDS_BETWEEN_LINES = 1.0, 60.0  # Seconds before the first line about the wait, and between later ones.
_PAUSE = 0.2  # Seconds between two tries.
_GREETING = re.compile(rb"xmcgan worker (\d{1,6}) of the cluster (\d{1,10})\n(ready\n)?")
_READY = b"ready\n"
_LONGEST = 200  # Bytes of a greeting.
_UNKNOWN_NAME = "its name does not resolve"


def meet(workers: Sequence[str], index: int, patience: float = _PATIENCE) -> None:
    """Returns when all workers have called this function; says whom it waits for.

    Args:
      workers: addresses host:port of all workers.
      index: the index of this one, whose port must be free.
      patience: seconds to wait.

    Raises:
      OSError: the port is in use; or a worker has not come in time, or its name does not resolve.
      ValueError: another worker has another list of workers, or the same index.
    """
    with contextlib.ExitStack() as stack:
        meeting = _Meeting(workers, index, stack)
        began, told = time.monotonic(), -_SECONDS_BETWEEN_LINES
        while meeting.step():
            waited = time.monotonic() - began
            if waited > patience or (waited > _UNRESOLVED and _UNKNOWN_NAME in meeting.missing()):
                raise TimeoutError(
                    f"worker {index} of {len(workers)} has waited {waited:.0f} s for {meeting.missing()}: start all "
                    "workers with the same TF_CONFIG, each with its own index"
                )
            if waited >= _QUIET and waited - told >= _SECONDS_BETWEEN_LINES:
                logging.info("worker %d of %d: waiting for %s", index, len(workers), meeting.missing())
                told = waited


def split_address(address: str) -> tuple[str, int]:
    """Splits host:port, where the host may be an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class _Meeting:
    """One worker's connections to all others."""

    def __init__(self, workers: Sequence[str], index: int, stack: contextlib.ExitStack):
        self._workers, self._index = workers, index
        self._cluster = zlib.crc32("\n".join(workers).encode())
        self._listener = stack.enter_context(_listen(workers[index], index))
        self._callers: dict[socket.socket, bytes] = {}  # What each has said so far.
        self._here: dict[int, socket.socket] = {}  # The workers that have greeted this one.
        self._ready: set[int] = set()  # The workers that have met all others. They may have left since.
        self._calls = {other: _Call(workers[other], self._greeting) for other in range(len(workers)) if other != index}
        stack.callback(self._close)

    @property
    def _greeting(self) -> bytes:
        return f"xmcgan worker {self._index} of the cluster {self._cluster}\n".encode()

    def step(self) -> bool:
        """Waits for a moment, and handles what has come; returns whether somebody is missing."""
        readable, _, _ = select.select([self._listener, *self._callers], [], [], _PAUSE)
        for ready in readable:
            if ready is self._listener:
                with contextlib.suppress(OSError):
                    caller, _ = self._listener.accept()
                    caller.setblocking(False)
                    self._callers[caller] = b""
            else:
                self._hear(ready)
        for other, call in self._calls.items():
            if other not in self._ready and call.is_lost():  # It was killed, perhaps before it had called this one.
                call.again()
        missing = any(map(self._is_missing, self._calls))
        if not missing:
            for call in self._calls.values():
                call.say(_READY)
        return missing

    def missing(self) -> str:
        """Describes the workers that are missing."""
        return ", ".join(
            f"worker {other} ({self._workers[other]}: {call.trouble or 'it has not called back'})"
            for other, call in self._calls.items()
            if self._is_missing(other)
        )

    def _is_missing(self, other: int) -> bool:
        return other not in self._ready and not (self._calls[other].is_made() and other in self._here)

    def _hear(self, caller: socket.socket) -> None:
        try:
            heard = caller.recv(_LONGEST)
        except OSError:
            heard = b""
        said = self._callers[caller] + heard
        self._callers[caller] = said
        match = _GREETING.fullmatch(said)
        if match:
            self._check(int(match[1]), int(match[2]))
            self._here[int(match[1])] = caller
            if match[3]:
                self._ready.add(int(match[1]))
        if (not heard or len(said) > _LONGEST) and not (match and match[3]):  # Killed while it waited, or a stranger.
            if match:
                self._here.pop(int(match[1]), None)
                self._calls[int(match[1])].again()
            self._forget(caller)
        elif not heard:
            self._forget(caller)

    def _forget(self, caller: socket.socket) -> None:
        del self._callers[caller]
        caller.close()

    def _check(self, other: int, cluster: int) -> None:
        if cluster != self._cluster:
            raise ValueError(f"worker {other} has another list of workers in its TF_CONFIG than worker {self._index}")
        if other not in self._calls:
            raise ValueError(f"another worker has the index {other} in its TF_CONFIG, too: give each its own")

    def _close(self) -> None:
        for call in self._calls.values():
            call.close()
        for caller in list(self._callers):
            self._forget(caller)


class _Call:
    """A call to another worker, in a thread of its own: resolving a name cannot be interrupted.

    Attributes:
      trouble: why the worker has not been reached yet.
    """

    def __init__(self, address: str, greeting: bytes):
        self.trouble = "not reached yet"
        self._address, self._greeting = address, greeting
        self._connection: socket.socket | None = None
        self._ended = threading.Event()
        self.again()

    def is_made(self) -> bool:
        return self._connection is not None

    def is_lost(self) -> bool:
        """Tells whether the other side has ended the connection, on which it never says anything."""
        connection = self._connection
        return connection is not None and bool(select.select([connection], [], [], 0.0)[0])

    def say(self, words: bytes) -> None:
        with contextlib.suppress(OSError):
            if self._connection:
                self._connection.sendall(words)

    def again(self) -> None:
        """Calls from now on, until the worker answers."""
        if self._connection:
            self._connection.close()
        self._connection = None
        threading.Thread(target=self._call, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        if self._connection:
            self._connection.close()

    def _call(self) -> None:
        while not self._ended.is_set():
            try:
                connection = socket.create_connection(split_address(self._address), timeout=5.0)
                if connection.getsockname() == connection.getpeername():  # A port can reach itself by chance.
                    connection.close()
                    continue
                connection.sendall(self._greeting)
            except socket.gaierror:
                self.trouble = _UNKNOWN_NAME
            except OSError as error:
                self.trouble = (error.strerror or str(error)).lower()
            else:
                self.trouble = ""
                self._connection = connection
                return
            self._ended.wait(_PAUSE)


@contextlib.contextmanager
def _listen(address: str, index: int) -> Iterator[socket.socket]:
    """Listens at the port of an address, on all interfaces, as TensorFlow will."""
    _, port = split_address(address)
    try:
        listener = _listener(port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise OSError(
            f"port {port}, which TF_CONFIG gives to worker {index}, cannot be used on this machine "
            f"({os.strerror(error.errno).lower()}): end what uses it, or name another port on all machines"
        ) from error
    with listener:
        listener.setblocking(False)
        yield listener


def _listener(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # IPv6 may be switched off.
                raise
    return socket.create_server(("", port), backlog=1024)
