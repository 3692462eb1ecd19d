"""Unpacks zip archives so that what lies under its name is whole."""

from __future__ import annotations

import pathlib
import shutil
import stat
import zipfile
import zlib

import tqdm

from xmcgan.files import check_room


def unpack(archive: pathlib.Path, folder: pathlib.Path, temporary: pathlib.Path) -> None:
    """Unpacks an archive into a folder.

    What the archive holds at its top is moved there when all is unpacked; a folder that is there already gets the
    files added, in place of any of the same name.

    Args:
      archive: a zip file.
      folder: to unpack into.
      temporary: folder to unpack into at first, on the same disk; whatever it holds is deleted.

    Raises:
      ValueError: the archive is damaged, or holds a path that leads out of the folder.
      OSError: there is not enough room.
    """
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            for member in members:
                _check_path(archive, member)
            check_room(folder, sum(member.file_size for member in members), f"unpack {archive.name}")
            for member in tqdm.tqdm(members, desc=f"unpacking {archive.name}", unit="file", disable=None):
                opened.extract(member, temporary)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{archive} is damaged ({error}): delete it, and run this again to fetch it again") from error
    for path in temporary.iterdir():
        _move(path, folder / path.name)
    shutil.rmtree(temporary)


def _check_path(archive: pathlib.Path, member: zipfile.ZipInfo) -> None:
    """Refuses what could be written outside of the folder."""
    path = pathlib.PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(f"{archive} holds '{member.filename}', which leads out of its folder: it is not as published")


def _move(path: pathlib.Path, target: pathlib.Path) -> None:
    """Moves a file or folder to its place on the same disk, into the folder that is there if there is one."""
    if path.is_dir() and target.is_dir():
        for inner in path.iterdir():
            _move(inner, target / inner.name)
    else:
        path.replace(target)
