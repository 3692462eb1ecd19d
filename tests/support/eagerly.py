"""Trainings of a few steps, without the graphs that would take most of their time."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """Runs the functions that are called within op by op: for one or two calls, tracing takes longer than that saves.

    Functions within tf.data are traced as ever, and so is what a SavedModel holds.
    """
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Even though the `tf.config.experimental_run_functions_eagerly`")
            yield
    finally:
        tf.config.run_functions_eagerly(False)
