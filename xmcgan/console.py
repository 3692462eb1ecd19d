"""Keeps the progress messages of libraries out of the log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from absl import logging


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Lets only warnings and errors through: TFDS and Beam log their progress at INFO, as this project does."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(min(verbosity, logging.WARNING))
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
