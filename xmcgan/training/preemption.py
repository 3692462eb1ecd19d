"""SIGTERM and SIGINT while a run trains: it saves where it stands, and ends."""

from __future__ import annotations

import contextlib
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
    """A run that was told to stop has done so: as Ctrl-C, it is no error, and no handler of errors may hold it up.

    Attributes:
      status: for the process to exit with, 128 + the signal's number, as shells have it.
    """

    def __init__(self, received: signal.Signals, step: int):
        """Says which signal it was, and at which step the run is saved."""
        super().__init__(
            f"stopped by {received.name} at step {step}, which is saved: the same command goes on from there"
        )
        self.status = 128 + received


class StopRequest:
    """A request to stop, by signal. As a context, it takes the place of the handlers of SIGTERM and SIGINT.

    Python handles a signal once the main thread is back from TensorFlow, whose compiled loop may go on for minutes. So
    the signal wakes a thread, which sets a variable, which the compiled loop reads before every step. A second signal
    ends the process at once.

    Outside of the main thread, where signals cannot be handled, the context does nothing.

    Attributes:
      flag: a variable on the host, 0 until there is a request and greater from then on.
    """

    def __init__(self) -> None:
        """Makes the variable; signals are heard of within the context alone."""
        with tf.device("CPU:0"):
            self.flag = tf.Variable(0.0, trainable=False, name="stop")
        self._received: signal.Signals | None = None
        self._saved_step: int | None = None  # While it may be interrupted at once.
        self._installed = contextlib.ExitStack()

    def stopped(self, step: int) -> Stopped:
        """The exception to raise once `step` is saved. Where the signal reached another worker only, it is SIGTERM."""
        return Stopped(self._received or signal.SIGTERM, step)

    @contextlib.contextmanager
    def interruptible(self, step: int) -> Iterator[None]:
        """Work that a signal ends at once, as all that there is to save has been, at `step`.

        Raises:
          Stopped: there was a signal, now or before.
        """
        self._saved_step = step
        try:
            if self._received:
                raise self.stopped(step)
            yield
        finally:
            self._saved_step = None

    def __enter__(self) -> StopRequest:
        """Takes the place of the signals' handlers."""
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
            undo.callback(os.write, wakes, b"\0")  # Is no signal: ends the thread.
            undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(wakes, warn_on_full_buffer=False))
            for number in _SIGNALS:
                undo.callback(signal.signal, number, signal.signal(number, self._handle) or signal.SIG_DFL)
            self._installed = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Gives the signals back to the handlers before."""
        self._installed.close()

    def _listen(self, woken: int) -> None:
        """Runs in a thread of its own: takes note of each signal as it comes."""
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
        """Runs in the main thread, between two lines of Python."""
        del frame
        if self._saved_step is not None:
            raise Stopped(signal.Signals(number), self._saved_step)
