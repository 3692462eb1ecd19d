"""Flags for paths: all paths of a command line are read in one way, see `home_folder.expand_home`."""

from __future__ import annotations

from absl import flags

from xmcgan.home_folder import expand_home

# A flag defined below belongs to the command that calls these functions, and its `--help` lists it.
flags.disclaim_key_flags()


class PathParser(flags.ArgumentParser):
    """Reads paths of flags: no shell expands `~` after `--flag=`, so this does."""

    syntactic_help = "a path"

    def __init__(self, remote: bool = False, bucket: bool = False, may_be_empty: bool = False):
        super().__init__()
        self._remote, self._bucket, self._may_be_empty = remote, bucket, may_be_empty

    def parse(self, argument: str) -> str:
        """Returns the path that an argument names; a ValueError says what is wrong with it."""
        if not argument and not self._may_be_empty:
            raise ValueError("the path is empty: give a path, or leave out the flag")
        if "://" in argument and not self._remote and not (self._bucket and argument.startswith("gs://")):
            others = ", or in a bucket (gs://)" if self._bucket else ""
            raise ValueError(f"give a path on this machine{others}, and copy from or to other places yourself")
        return expand_home(argument)

    def flag_type(self) -> str:
        """Returns the name of the type, which absl shows in its help."""
        return "path"


def define_path(
    name: str, default: str | None, text: str, *, remote: bool = False, bucket: bool = False, required: bool = False
) -> flags.FlagHolder:
    """Defines a flag for a path.

    Args:
      name: of the flag.
      default: a path, None if there is none, or "" if the flag may be empty.
      text: the help text.
      remote: whether all addresses are allowed too, such as those of TF Hub.
      bucket: whether addresses in a bucket (gs://) are allowed too.
      required: whether the flag must be given.
    """
    parser = PathParser(remote, bucket, may_be_empty=default == "")
    return flags.DEFINE(parser, name, default, text, required=required)


def define_paths(name: str, text: str) -> flags.FlagHolder:
    """Defines a flag for a path that can be given several times; its value is a list."""
    return flags.DEFINE_multi(PathParser(), flags.ArgumentSerializer(), name, [], text)
