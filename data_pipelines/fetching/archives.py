"""Unpacks zip archives atomically: files and folders appear under their names only when they are complete."""

from __future__ import annotations

import contextlib
import errno
import pathlib
import shutil
import stat
import zipfile
from collections.abc import Iterator

import tqdm

from xmcgan.files import check_room

# What a disk says of names in a damaged archive: too long, not possible, or of a file and of a folder at once. An error
# without a number is a decompressor's.
_ERRORS_OF_NAMES = (None, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)


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
    with contextlib.ExitStack() as stack:
        with _explained(archive):
            opened = stack.enter_context(zipfile.ZipFile(archive))
        # An entry './' is the folder itself, which Python 3.12.1 refuses to extract.
        members = [member for member in opened.infolist() if pathlib.PurePosixPath(member.filename).parts]
        for member in members:
            _check_path(archive, member)
        check_room(folder, sum(member.file_size for member in members), f"unpack {archive.name}")
        with _explained(archive):
            for member in tqdm.tqdm(members, desc=f"unpacking {archive.name}", unit="file", disable=None):
                opened.extract(member, temporary)
    for path in temporary.iterdir():
        _move(path, folder / path.name)
    shutil.rmtree(temporary)


@contextlib.contextmanager
def _explained(archive: pathlib.Path) -> Iterator[None]:
    """Raises ValueError that names the archive if it is damaged, however zipfile says so; errors of the disk stay."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in _ERRORS_OF_NAMES:
            raise
        # Encryption is a RuntimeError, an unknown method a NotImplementedError; damage has many more names.
        raise ValueError(f"{archive} is damaged ({error}): delete it, and run this again to download it") from error


def _check_path(archive: pathlib.Path, member: zipfile.ZipInfo) -> None:
    """Raises ValueError if a member could be written outside the folder."""
    path = pathlib.PurePosixPath(member.filename.replace("\\", "/"))
    leads_out = path.is_absolute() or ".." in path.parts or stat.S_ISLNK(member.external_attr >> 16)
    if leads_out or ":" in "".join(path.parts[:1]):
        raise ValueError(f"{archive} holds '{member.filename}', which leads out of its folder: it is not as published")


def _move(path: pathlib.Path, target: pathlib.Path) -> None:
    """Moves a file or folder on the same disk; merges a folder into `target` if that is a folder already."""
    if path.is_dir() and target.is_dir():
        for inner in path.iterdir():
            _move(inner, target / inner.name)
    else:
        path.replace(target)
