"""Modules of commands, for tests of the functions in them."""

from __future__ import annotations

import importlib
import types

from absl import flags


def load(name: str) -> types.ModuleType:
    """Imports a command's module without its flags: in one process, commands must not define the same flag twice."""
    before = set(flags.FLAGS)
    module = importlib.import_module(name)
    for flag in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, flag)
    return module
