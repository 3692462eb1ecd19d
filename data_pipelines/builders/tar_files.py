"""Reads files from tar archives that strangers made, in one pass and within bounds."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Container, Iterator
from typing import Any, NoReturn

from xmcgan import text_files

# Long names and attributes of a file are stored in a block of their own before it, which is read into memory.
_LARGEST_EXTENSION = 1 << 20
_EXTENSIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


def read(archive: str | os.PathLike, wanted: Container[str], max_bytes: int) -> Iterator[tuple[str, bytes | None]]:
    """Reads files from an archive in one pass, because a compressed archive can only be read in order.

    Args:
      archive: path of the archive, compressed or not, on a disk or in a bucket (gs://).
      wanted: names of the files to read, with or without their folders in the archive.
      max_bytes: largest file to read.

    Yields:
      The name of each wanted file, as in `wanted`, and its content; None for the content of one that is larger than
      `max_bytes`.

    Raises:
      ValueError: the archive is missing or damaged; the files before the damage have been yielded.
    """
    try:
        with text_files.open_regular(archive) as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=_Header) as tar:
            while (header := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # Otherwise all headers would stay in memory.
                name = header.name if header.name in wanted else header.name.rpartition("/")[2]
                if header.isfile() and name in wanted:
                    yield name, _content(tar, header) if header.size <= max_bytes else None
    except Exception as error:  # Damage has many names: TarError, EOFError, zlib.error, RecursionError, ValueError, ...
        raise ValueError(f"damaged archive {os.path.basename(archive)}") from error


class _Header(tarfile.TarInfo):
    """A header that refuses what archives of images do not need, and what tarfile mistakes for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        try:
            header = super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error
        if header.size < 0 or header.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("a negative size, or a sparse file")
        if header.type in _EXTENSIONS and header.size > _LARGEST_EXTENSION:
            raise tarfile.ReadError("a name or an attribute of megabytes")
        return header

    def _proc_gnusparse_10(self, *_: Any) -> NoReturn:  # tarfile would read a map of any length into memory.
        raise tarfile.ReadError("a sparse file")


def _content(tar: tarfile.TarFile, header: tarfile.TarInfo) -> bytes:
    content = tar.extractfile(header)
    if content is None or header.issparse():
        raise tarfile.ReadError("a sparse file")
    data = content.read()
    if len(data) < header.size:
        raise EOFError("the archive ends within a file")
    return data
