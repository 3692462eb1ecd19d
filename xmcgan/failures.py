"""Explains errors whose cause TensorFlow does not name, such as a damaged file among the data of a run.

An error within a dataset surfaces far from where the dataset was made: in a training step, or at the end of a chain of
`tf.data` transformations. So whoever opens files registers a function here that can look for the cause, and the
commands ask all of them before an error ends in a traceback.
"""

from __future__ import annotations

from typing import Callable, Optional

# Each takes an error, and returns one line that says what is wrong and what to do, or None if it finds nothing.
_Explainer = Callable[[Exception], Optional[str]]
_explainers: dict[str, _Explainer] = {}


def add_explainer(key: str, explain: _Explainer) -> None:
    """Registers a function that explains errors; replaces the one with the same key. The last one is asked first."""
    _explainers.pop(key, None)
    _explainers[key] = explain


def explanation(error: Exception) -> str | None:
    """Returns one line that explains an error; None if nobody can."""
    return next((line for explain in reversed(_explainers.values()) if (line := explain(error))), None)
