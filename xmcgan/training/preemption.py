"""Requests to stop a training run, by SIGTERM, SIGINT or a time limit: the run saves its state, and stops."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import tensorflow as tf
from absl import logging

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(KeyboardInterrupt):
    """Raised when a run has stopped because of a signal.

    It is a KeyboardInterrupt, as for Ctrl-C: it is not an error, and `except Exception` does not catch it.

    Attributes:
      status: the exit status of the process, 128 + the signal's number, as in shells.
    """

    def __init__(self, received: signal.Signals, step: int):
        """Makes the message: the signal, and the step at which the run is saved."""
        super().__init__(f"stopped by {received.name} at step {step}, which is saved: the same command resumes there")
        self.status = 128 + received


class StopRequest:
    """A request to stop, made by a signal or a time limit; a context, which replaces the handlers of both signals.

    Python handles a signal only when the main thread returns from TensorFlow, whose compiled loop may run for minutes.
    Therefore the signal wakes a thread. The thread sets a variable, which the compiled loop reads before every step. A
    second signal ends the process at once.

    Outside of the main thread, where signals cannot be handled, only the time limit counts.

    Attributes:
      flag: a variable on the host, 0 until there is a request and above 0 from then on.
    """

    def __init__(self, time_limit: float = math.inf) -> None:
        """Makes the variable; there are requests only within the context.

        Args:
          time_limit: seconds after which the context makes a request by itself.
        """
        with tf.device("CPU:0"):
            self.flag = tf.Variable(0.0, trainable=False, name="stop")
        self._received: signal.Signals | None = None
        self._saved_step: int | None = None  # Set only while a signal may interrupt at once.
        self._installed = contextlib.ExitStack()
        self._time_limit = time_limit

    @property
    def time_is_up(self) -> bool:
        """Whether there is a time limit, and no signal came before it was reached."""
        return math.isfinite(self._time_limit) and not self._received

    def stopped(self, step: int) -> Stopped:
        """Makes the exception to raise once `step` is saved; it names SIGTERM if only another worker got the signal."""
        return Stopped(self._received or signal.SIGTERM, step)

    @contextlib.contextmanager
    def interruptible(self, step: int) -> Iterator[None]:
        """Lets a signal end the enclosed work at once, because everything up to `step` is saved.

        Raises:
          Stopped: there was a signal, during the work or before it.
        """
        self._saved_step = step
        try:
            if self._received:
                raise self.stopped(step)
            yield
        finally:
            self._saved_step = None

    def __enter__(self) -> StopRequest:
        """Replaces the signals' handlers, and starts the threads."""
        if math.isfinite(self._time_limit):
            timer = threading.Timer(self._time_limit, self.flag.assign, [1.0])
            timer.daemon = True
            timer.start()
            self._installed.callback(timer.join)
            self._installed.callback(timer.cancel)
        if threading.current_thread() is not threading.main_thread():
            return self
        woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        thread = threading.Thread(target=self._listen, args=(woken,), name="stop request", daemon=True)
        thread.start()
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, woken)
            undo.callback(os.close, wakes)
            undo.callback(thread.join)
            undo.callback(os.write, wakes, b"\0")  # 0 is not a signal: it ends the thread.
            undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(wakes, warn_on_full_buffer=False))
            for number in _SIGNALS:
                undo.callback(signal.signal, number, signal.signal(number, self._handle) or signal.SIG_DFL)
            self._installed.push(undo.pop_all())
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Restores the previous handlers, and ends the threads."""
        self._installed.close()

    def _listen(self, woken: int) -> None:
        """Receives the signals, in a thread of its own."""
        while True:
            number = os.read(woken, 1)[0]
            if not number:
                return
            if number not in _SIGNALS:
                continue
            if self._received:
                print("a second signal: stopped at once, without saving", file=sys.stderr, flush=True)
                os._exit(128 + number)
            self._received = signal.Signals(number)
            self.flag.assign(1.0)
            logging.info("%s: saving and stopping; a second signal stops at once", self._received.name)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal in the main thread, between two lines of Python."""
        del frame
        if self._saved_step is not None:
            raise Stopped(signal.Signals(number), self._saved_step)
