"""The `~` at the beginning of a path: no shell expands it after `--flag=`, or in most files of settings."""

from __future__ import annotations

import os


def expand_home(path: str) -> str:
    """Replaces `~` or `~user` at the beginning of a path by the home folder; all other characters mean themselves.

    Raises:
      ValueError: there is no such user.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        user = expanded.split("/")[0]
        raise ValueError(f"'{user}' has no home folder: write ./{path} for a path that begins with '~'")
    return expanded


def path_in_environment(name: str) -> str:
    """Returns the path that an environment variable names, or '' if there is none.

    Raises:
      ValueError: it begins with the name of a user that does not exist; the message begins with the variable's name.
    """
    path = os.environ.get(name, "")
    try:
        return expand_home(path)
    except ValueError as error:
        raise ValueError(f"{name}={path}: {error}") from error
