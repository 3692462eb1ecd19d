"""What a package offers, imported on first use: most of it needs TensorFlow, which takes seconds to import.

`etils.epy.lazy_api_imports` does the same, but no etils for Python 3.9 has it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def offer(package: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns the `__getattr__` and the `__dir__` of a package (PEP 562).

    Args:
      package: the package's name.
      names: what it offers, with the module that defines each.
    """

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(importlib.import_module(names[name]), name)

    return getattr_, lambda: sorted({*vars(sys.modules[package]), *names})
