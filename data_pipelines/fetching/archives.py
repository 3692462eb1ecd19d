"""Unpacks zip archives atomically: files and folders appear under their names only when they are complete."""

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

    When everything is unpacked, the archive's top-level files and folders are moved there. Folders of the same name are
    merged, and files of the same name are overwritten.

    Args:
      archive: a zip file.
      folder: the folder to unpack into.
      temporary: temporary folder on the same disk; its previous content is deleted.

    Raises:
      ValueError: the archive is damaged, or holds a path that leads out of the folder.
      OSError: the disk does not have enough free space.
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
        raise ValueError(f"{archive} is damaged ({error}): delete it, and run this again to download it") from error
    for path in temporary.iterdir():
        _move(path, folder / path.name)
    shutil.rmtree(temporary)


def _check_path(archive: pathlib.Path, member: zipfile.ZipInfo) -> None:
    """Raises ValueError if a member could be written outside the folder."""
    path = pathlib.PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or stat.S_ISLNK(member.external_attr >> 16):
        raise ValueError(f"{archive} holds '{member.filename}', which leads out of its folder: it is not as published")


def _move(path: pathlib.Path, target: pathlib.Path) -> None:
    """Moves a file or folder on the same disk; merges a folder into `target` if that is a folder already."""
    if path.is_dir() and target.is_dir():
        for inner in path.iterdir():
            _move(inner, target / inner.name)
    else:
        path.replace(target)
