"""The text behind `--help`: a command's docstring, its own flags, and every config field with its help."""

from __future__ import annotations

import inspect
import textwrap
import typing

from absl import flags

from xmcgan import config as config_lib
from xmcgan.config import Config

_WIDTH = 120
_COLUMN = 52  # Where the help texts begin.


def help_text(docstring: str, key_flags: typing.Sequence[flags.Flag], config: Config | None = None) -> str:
    """Renders the help of one command.

    Args:
      docstring: the docstring of the command's module; says what the command does, with examples.
      key_flags: the command's own flags.
      config: the config whose fields the command takes as `--config.…`, with the defaults to show; None if it takes
        none.

    Returns:
      Lines for a terminal: flags in the order given, config fields grouped as in config.py.
    """
    lines = [inspect.cleandoc(docstring), "", "Flags:"]
    for flag in key_flags:
        lines += _entry(_signature(flag), flag.help)
    if config is not None:
        lines += ["", f"Config fields, with the values of {config.dataset} (each dataset and preset has its own):"]
        lines += _config_fields(config)
    return "\n".join(lines) + "\n"


def _config_fields(config: Config) -> list[str]:
    lines, group, values = [], "", config_lib.flatten(config)
    for name, setting in config_lib.settings().items():
        if name.partition(".")[0] != group:
            group = name.partition(".")[0]
            text = inspect.getdoc(getattr(config, group)) or ""
            lines += ["", *textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")]
        lines += _entry(f"--config.{name}={values[name]}", setting.help)
    return lines


def _signature(flag: flags.Flag) -> str:
    """Formats a flag as '--name=default', '--[no]name' or, without a default, '--name'."""
    if flag.boolean:
        return f"--[no]{flag.name}"
    return f"--{flag.name}" if flag.default in (None, "", []) else f"--{flag.name}={flag.default}"


def _entry(name: str, text: str) -> list[str]:
    """Formats a name with its help text in the second column; the text starts a new line where the name is too long."""
    name = f"  {name}"
    first, *others = textwrap.wrap(" ".join(text.split()), _WIDTH - _COLUMN) or [""]
    head = [f"{name:{_COLUMN}}{first}".rstrip()] if len(name) < _COLUMN else [name, " " * _COLUMN + first]
    return head + [" " * _COLUMN + line for line in others]
