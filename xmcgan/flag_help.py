"""The text behind `--help`: a command's docstring, its own flags, and every config field with its comment."""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
import typing

from absl import flags

from xmcgan.config import Config

_WIDTH = 120
_COLUMN = 52  # Where the texts begin.
# A dataclass field with the comment behind it, as written in config.py.
_FIELD = re.compile(r"^    (\w+): .*?(?:  # (.*))?$", re.MULTILINE)


def help_text(docstring: str, key_flags: typing.Sequence[flags.Flag], config: Config | None = None) -> str:
    """Renders the help of one command.

    Args:
      docstring: of the command's module; says what it does, with examples.
      key_flags: the command's own flags.
      config: the tree whose fields the command takes as `--config.…`, with the defaults to show; None if it takes none.

    Returns:
      Lines for a terminal: flags in the order given, config fields grouped as in config.py.
    """
    lines = [inspect.cleandoc(docstring), "", "Flags:"]
    for flag in key_flags:
        lines += _entry(_signature(flag), flag.help)
    if config is not None:
        lines += ["", f"Config fields, with the values of {config.dataset} (each dataset and preset has its own):"]
        for group in dataclasses.fields(config):
            node = getattr(config, group.name)
            if dataclasses.is_dataclass(node):
                lines += ["", *textwrap.wrap(inspect.getdoc(node), _WIDTH, initial_indent="  ", subsequent_indent="  ")]
                comments = field_comments(type(node))
                for field in dataclasses.fields(node):
                    name = f"--config.{group.name}.{field.name}={getattr(node, field.name)}"
                    lines += _entry(name, comments[field.name])
    return "\n".join(lines) + "\n"


def field_comments(cls: type) -> dict[str, str]:
    """The comment behind each field of a dataclass, by the field's name; '' where there is none."""
    return dict(_FIELD.findall(inspect.getsource(cls)))


def _signature(flag: flags.Flag) -> str:
    """'--name=default', '--[no]name' or, without a default, '--name'."""
    if flag.boolean:
        return f"--[no]{flag.name}"
    return f"--{flag.name}" if flag.default in (None, "", []) else f"--{flag.name}={flag.default}"


def _entry(name: str, text: str) -> list[str]:
    """A name with its text in the second column; below it where the name is too long."""
    name = f"  {name}"
    first, *others = textwrap.wrap(" ".join(text.split()), _WIDTH - _COLUMN) or [""]
    head = [f"{name:{_COLUMN}}{first}".rstrip()] if len(name) < _COLUMN else [name, " " * _COLUMN + first]
    return head + [" " * _COLUMN + line for line in others]
