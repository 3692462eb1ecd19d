"""Downloads one file, resumes after lost connections and interrupted runs, and verifies the result.

An unfinished file is called `<name>.part`. `<name>.part.json` beside it holds the server's metadata, so that a later
run can request the rest of the same version.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
from typing import Annotated, Literal, Optional

import msgspec
import requests
import tqdm
from absl import logging

from data_pipelines.fetching import checksums, server
from xmcgan import text_files

_MAX_NOTE_BYTES = 1 << 20
# Give up after more than this many consecutive requests that bring no new bytes, and after starting over this often.
_MAX_FRUITLESS, _MAX_RESTARTS = 5, 5
# No published file has more bytes than this; a server that states no size is cut off there.
_LARGEST = 1 << 36


# The note beside an unfinished file: the fields of `server.FileMetadata`. The etag goes into the header of a request.
_Note = tuple[
    Optional[Annotated[str, msgspec.Meta(pattern="^[ -~]*$")]],
    Optional[Annotated[int, msgspec.Meta(ge=0)]],
    Optional[tuple[Literal["sha256", "md5", "crc32c"], str]],
]


class _PartialFile:
    """An unfinished file and the server's metadata for it, both on disk."""

    def __init__(self, path: pathlib.Path):
        self.path = path.with_name(path.name + ".part")
        self._metadata_path = path.with_name(path.name + ".part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def metadata(self) -> server.FileMetadata | None:
        """Returns the metadata of the version that was being downloaded, or None if nothing was."""
        try:
            etag, size, checksum = text_files.read_json(self._metadata_path, _Note, max_bytes=_MAX_NOTE_BYTES)
        except (FileNotFoundError, ValueError):
            return None
        return server.FileMetadata(etag, size, checksum and checksums.Checksum(*checksum))

    def begin(self, metadata: server.FileMetadata) -> None:
        """Starts over with the version that the server has now."""
        self.discard()  # First, so that the metadata never describes bytes of another version.
        self._metadata_path.write_text(json.dumps(metadata))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._metadata_path.unlink(missing_ok=True)

    def finish(self, path: pathlib.Path) -> None:
        self.path.replace(path)
        self._metadata_path.unlink(missing_ok=True)


def part_size(path: pathlib.Path) -> int:
    """Returns how many bytes of the file at `path` earlier runs have downloaded."""
    return _PartialFile(path).size()


def fetch(
    connection: requests.Session, url: str, path: pathlib.Path, size: int | None = None, sha256: str | None = None
) -> None:
    """Downloads a file, or the rest of it, to `path`, which appears only when the file is complete and verified.

    Args:
      connection: a session of `server.session`.
      url: address of the file.
      path: path of the file; its folder exists.
      size: known size in bytes; if None, the size that the server states.
      sha256: known checksum in hexadecimal; if None, the checksum that the server states, of whatever kind.

    Raises:
      server.FetchError: the server cannot be reached, repeatedly breaks off, is too slow, sends too much, or lacks the
        file.
      ValueError: the server's file is not the known one, or it was damaged; the damaged file is deleted.
    """
    part = _PartialFile(path)
    progress = tqdm.tqdm(desc=path.name, total=size, initial=part.size(), unit="B", unit_scale=True, disable=None)
    with progress:
        metadata = _receive_all(connection, url, part, size, progress)
    try:
        verify(part.path, size or metadata.size, checksums.Checksum("sha256", sha256) if sha256 else metadata.checksum)
    except ValueError as error:
        part.discard()
        raise ValueError(f"the download of {url} was damaged and deleted: {error}; run this again to retry") from error
    part.finish(path)


def verify(path: pathlib.Path, size: int | None, checksum: checksums.Checksum | None) -> None:
    """Checks the size and the checksum of a file, where they are known.

    Raises:
      ValueError: one of them differs.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        raise ValueError(f"{path} has {found} bytes, not {size}")
    if checksum is None:
        logging.warning("%s: no checksum is known, so only the size was checked", path.name)
    elif checksums.checksum_file(path, checksum.kind) != checksum:
        raise ValueError(f"the {checksum.kind} of {path} is not {checksum.value}")


def _receive_all(
    connection: requests.Session, url: str, part: _PartialFile, size: int | None, progress: tqdm.tqdm
) -> server.FileMetadata:
    """Sends requests until the file is complete; returns the server's metadata."""
    fruitless = restarts = 0
    pace = server.Pace(url)
    while True:
        metadata, before = part.metadata(), part.size()
        if metadata and metadata.size is not None and before == metadata.size:
            return metadata  # The previous run was killed after the last byte.
        cause = "the connection is lost"
        try:
            ended = _receive(connection, url, part, size, progress, pace)
        except server.LostConnectionError as error:
            ended, cause = False, str(error)
        metadata = part.metadata()
        if ended and metadata and part.size() >= (metadata.size or size or 0):
            return metadata
        fruitless = 0 if part.size() > before else fruitless + 1
        # The server had another version, or would not send the rest. A part that grows again is no progress yet.
        restarts += part.size() < before or before == 0 < restarts
        if fruitless > _MAX_FRUITLESS or restarts > _MAX_RESTARTS:
            raise server.FetchError(f"cannot download more than {max(before, part.size())} bytes of {url} ({cause})")
        pace.add(0)
        time.sleep(server.BACKOFF * 2**fruitless)


def _receive(
    connection: requests.Session,
    url: str,
    part: _PartialFile,
    size: int | None,
    progress: tqdm.tqdm,
    pace: server.Pace,
) -> bool:
    """Receives the response to one request; returns False if the part could not be continued and was discarded."""
    known = part.metadata()
    etag = known.etag if known else None
    # Without an etag we cannot tell whether the server still has the same version.
    offset = part.size() if etag else 0
    with contextlib.ExitStack() as stack:
        response = stack.enter_context(server.get(connection, url, offset, etag if offset else None))
        metadata = server.read_metadata(response)
        if size is not None and metadata.size not in (None, size):
            raise ValueError(
                f"{url} has {metadata.size} bytes on its server, not the {size} of the published file: the file has "
                "been replaced, or a proxy answers instead of the server"
            )
        if response.status_code == 200:
            offset = 0
            part.begin(metadata)
        elif response.status_code == 416 or not _continues(response, metadata, etag, offset):
            part.discard()
            return False
        progress.total = size or metadata.size
        progress.n = offset
        progress.refresh()
        file = stack.enter_context(open(part.path, "ab", buffering=0))
        most = progress.total if progress.total is not None else _LARGEST
        for chunk in server.read_chunks(response, pace):
            offset += len(chunk)
            if offset > most:
                part.discard()
                raise server.FetchError(f"{url} sends more than {most} bytes: the file has been replaced")
            file.write(chunk)
            progress.update(len(chunk))
    return True


def _continues(response: requests.Response, metadata: server.FileMetadata, etag: str | None, offset: int) -> bool:
    """Returns whether the response to a request for the rest really is the rest of the same version."""
    starts = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
    return starts and metadata.etag in (None, etag)
