"""Paths for those functions of TensorFlow that take a path for a pattern: in `a[b]`, they look for `ab`.

These are the functions that read a checkpoint or a SavedModel, and Apache Beam. They have no way to escape such
characters.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import tempfile

_SPECIAL = re.compile(r"[*?\[\]{}\\]")


def literal_folder(folder: str) -> str:
    """Returns another path of a folder if its own could be taken for a pattern: that of a link, until the process ends.

    Args:
      folder: any path; addresses such as gs://... stay.
    """
    if "://" in folder or not _SPECIAL.search(folder):
        return folder
    return _link(os.path.abspath(folder), os.getpid())


def literal_path(path: str) -> str:
    """Returns the path of a file, or of a checkpoint, in `literal_folder` of its folder."""
    folder, name = os.path.split(path)
    return os.path.join(literal_folder(folder), name)


@functools.cache
def _link(folder: str, process: int) -> str:
    links = _links(process)
    link = os.path.join(links, str(len(os.listdir(links))))
    os.symlink(folder, link)
    return link


@functools.cache
def _links(process: int) -> str:
    """Makes the folder of this process' links; a forked process makes one of its own."""
    folder = tempfile.mkdtemp(prefix="xmcgan_links_")

    def remove() -> None:
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
