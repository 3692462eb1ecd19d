"""Libraries that some tests need."""

from __future__ import annotations

import importlib.util

import pytest


def need(name: str, reason: str) -> None:
    """Skips the tests of a module where a library is missing. Unlike `pytest.importorskip`, it does not import it.

    Every test process would spend seconds on that, and only one of them runs the tests.

    Args:
      name: of the library.
      reason: why it may be missing.
    """
    if importlib.util.find_spec(name) is None:
        pytest.skip(reason, allow_module_level=True)
