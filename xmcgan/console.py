"""Keeps what the libraries tell of their own doings out of the log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from absl import logging


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Lets warnings and errors alone through: TFDS and Beam tell their steps at the level of our own news."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(min(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
