"""Checksums of files and bytes."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import google_crc32c
import tqdm

_CHUNK = 1 << 22
KINDS: dict[str, Callable[[], Any]] = {"sha256": hashlib.sha256, "md5": hashlib.md5, "crc32c": google_crc32c.Checksum}


class Checksum(NamedTuple):
    """A checksum: `kind` is 'sha256', 'md5' or 'crc32c', and `value` is in hexadecimal."""

    kind: str
    value: str


def checksum_bytes(data: bytes, kind: str) -> Checksum:
    """Returns the checksum of `data`."""
    digest = KINDS[kind]()
    digest.update(data)
    return Checksum(kind, digest.digest().hex())


def checksum_file(path: pathlib.Path, kind: str) -> Checksum:
    """Returns the checksum of a file; shows a progress bar on a terminal."""
    digest = KINDS[kind]()
    progress = tqdm.tqdm(
        total=path.stat().st_size, desc=f"checking {path.name}", unit="B", unit_scale=True, disable=None, leave=False
    )
    with progress, open(path, "rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            digest.update(chunk)
            progress.update(len(chunk))
    return Checksum(kind, digest.digest().hex())
