"""Writes the files that an inspection ends in."""

from __future__ import annotations

import os

from etils import epath

from xmcgan.files import write_text


class Output:
    """A text file to be written at the end of some work, refused before it if that cannot be.

    Attributes:
      path: of the file.
    """

    def __init__(self, path: str | os.PathLike):
        """Makes the file's folder.

        Args:
          path: of the file; replaced if it is there.

        Raises:
          ValueError: it is a folder.
          OSError: its folder cannot be made.
        """
        self.path = epath.Path(path).expanduser()
        if self.path.is_dir():
            raise ValueError(f"{os.fspath(self.path)} is a folder: name a file in it")
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, text: str) -> None:
        """Writes the file, whole or not at all."""
        write_text(self.path, text)
