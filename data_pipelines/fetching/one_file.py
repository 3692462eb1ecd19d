"""Fetches one file, however often the connection or the program breaks off, and checks that it came whole.

While it is under way the file is called `<name>.part`; `<name>.part.json` beside it keeps what the server stated, so
that a later run asks for the rest of the same version.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import time

import requests
import tqdm
from absl import logging

from data_pipelines.fetching import checksums, server

_CHUNK = 1 << 20
# Times in a row that nothing new may come before it is given up.
_FRUITLESS = 5


class _Part:
    """A file as far as it has come, and what its server stated of it, both on disk."""

    def __init__(self, path: pathlib.Path):
        self.path = path.with_name(path.name + ".part")
        self._note = path.with_name(path.name + ".part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def stated(self) -> server.Stated | None:
        """What was stated of the version that it is a part of, if there is a part at all."""
        try:
            etag, size, checksum = json.loads(self._note.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return server.Stated(etag, size, checksum and checksums.Checksum(*checksum))

    def begin(self, stated: server.Stated) -> None:
        """Starts over with what the server has now."""
        self.discard()  # First: a note must never stand beside bytes of another version.
        self._note.write_text(json.dumps(stated))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, path: pathlib.Path) -> None:
        self.path.replace(path)
        self._note.unlink(missing_ok=True)


def part_size(path: pathlib.Path) -> int:
    """Bytes that earlier runs have already fetched of the file that shall lie at `path`."""
    return _Part(path).size()


def fetch(
    connection: requests.Session, url: str, path: pathlib.Path, size: int | None = None, sha256: str | None = None
) -> None:
    """Fetches a file, or what is still missing of it, to `path`, which appears when it is whole.

    Args:
      connection: of `server.session`.
      url: of the file.
      path: where it shall lie, in a folder that exists.
      size: bytes it has, as known beforehand; None: as the server states.
      sha256: as known beforehand, in hex; None: the checksum that the server states, of whatever kind.

    Raises:
      server.FetchError: the server cannot be reached, breaks off time and again, or has no such file.
      ValueError: the file is not the one known, or came damaged; what came of it is deleted.
    """
    part = _Part(path)
    progress = tqdm.tqdm(desc=path.name, total=size, initial=part.size(), unit="B", unit_scale=True, disable=None)
    with progress:
        stated = _receive_all(connection, url, part, size, progress)
    try:
        verify(part.path, size or stated.size, checksums.Checksum("sha256", sha256) if sha256 else stated.checksum)
    except ValueError as error:
        part.discard()
        raise ValueError(f"{url} came damaged, and was deleted: {error}; run this again to fetch it again") from error
    part.finish(path)


def verify(path: pathlib.Path, size: int | None, checksum: checksums.Checksum | None) -> None:
    """Checks a file against what is known of it.

    Raises:
      ValueError: it differs.
    """
    found = path.stat().st_size
    if size is not None and found != size:
        raise ValueError(f"{path} has {found} bytes, not {size}")
    if checksum is None:
        logging.warning("%s: nobody states a checksum, so only its size was checked", path.name)
    elif checksums.checksum_file(path, checksum.kind) != checksum:
        raise ValueError(f"the {checksum.kind} of {path} is not {checksum.value}")


def _receive_all(
    connection: requests.Session, url: str, part: _Part, size: int | None, progress: tqdm.tqdm
) -> server.Stated:
    """Receives until the part is whole; returns what the server stated."""
    fruitless = 0
    while True:
        stated, before = part.stated(), part.size()
        if stated and stated.size is not None and before == stated.size:
            return stated  # As after a run that was killed at the very end.
        cause = "it breaks off"
        try:
            ended = _receive(connection, url, part, size, progress)
        except requests.RequestException as error:
            ended, cause = False, server.reason(error)
        stated = part.stated()
        if ended and stated and part.size() >= (stated.size or size or 0):
            return stated
        fruitless = 0 if part.size() > before else fruitless + 1
        if fruitless > _FRUITLESS:
            raise server.FetchError(f"cannot fetch more than {before} bytes of {url} ({cause})")
        time.sleep(server.BACKOFF * 2**fruitless)


def _receive(connection: requests.Session, url: str, part: _Part, size: int | None, progress: tqdm.tqdm) -> bool:
    """Receives what one request brings. Returns False if the part was of no use, True at the end of the answer."""
    known = part.stated()
    etag = known.etag if known else None
    # Without an etag there is no telling whether the server still has the same version.
    offset = part.size() if etag else 0
    with contextlib.ExitStack() as stack:
        response = stack.enter_context(server.get(connection, url, offset, etag if offset else None))
        stated = server.stated(response)
        if size is not None and stated.size not in (None, size):
            raise ValueError(
                f"{url} has {stated.size} bytes on its server, not the {size} of the published file: it has been "
                "replaced, or something between here and there answers in its place"
            )
        if response.status_code == 200:
            offset = 0
            part.begin(stated)
        elif response.status_code == 416 or not _continues(response, stated, etag, offset):
            part.discard()
            return False
        progress.total = size or stated.size
        progress.n = offset
        progress.refresh()
        file = stack.enter_context(open(part.path, "ab"))
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)
            progress.update(len(chunk))
    return True


def _continues(response: requests.Response, stated: server.Stated, etag: str | None, offset: int) -> bool:
    """Whether the answer to a request for the rest is indeed the rest of the same version."""
    starts = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
    return starts and stated.etag in (None, etag)
