"""Imports the modules of commands, for tests of their functions."""

from __future__ import annotations

import importlib
import types

from absl import flags


def load(name: str) -> types.ModuleType:
    """Imports a command's module without its flags: in one process, commands must not define the same flag twice."""
    module = importlib.import_module(name)
    for flag in list(flags.FLAGS):
        if flags.FLAGS.find_module_defining_flag(flag) == name:  # Not the flags of libraries that it imports.
            delattr(flags.FLAGS, flag)
    return module
