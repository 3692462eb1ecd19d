"""Downloads many small files in parallel."""

from __future__ import annotations

import collections
import concurrent.futures
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import requests
import tqdm

from data_pipelines.fetching import checksums, server

# Number of parallel requests. It is large, because for an image the server's latency is far longer than the transfer.
_CONNECTIONS = 32
_TRIES = 4
_LARGEST = 64 << 20  # Bytes. The largest photograph of Open Images has half as many.


class SmallFile(NamedTuple):
    """The address of a file that fits into memory, and the path to store it at."""

    url: str
    path: pathlib.Path


def fetch_all(files: Sequence[SmallFile], description: str) -> list[SmallFile]:
    """Downloads files; each appears under its name only when it is complete.

    Args:
      files: the files to download; their folders exist.
      description: text of the progress bar.

    Returns:
      The files that the servers do not have.

    Raises:
      server.FetchError: a server cannot be reached, or repeatedly sends a damaged file.
    """
    gone = []
    progress = tqdm.tqdm(total=len(files), desc=description, unit="image", disable=None)
    pool = concurrent.futures.ThreadPoolExecutor(_CONNECTIONS)
    pending: collections.deque = collections.deque()

    def settle() -> None:
        file, future = pending.popleft()
        if not future.result():
            gone.append(file)
        progress.update()

    with progress, server.session(_CONNECTIONS) as connection:
        try:
            for file in files:
                pending.append((file, pool.submit(_fetch, connection, file)))
                if len(pending) > 4 * _CONNECTIONS:  # Enough to keep all threads busy while waiting for the oldest one.
                    settle()
            while pending:
                settle()
        finally:
            pool.shutdown(cancel_futures=True)
    return gone


def _fetch(connection: requests.Session, file: SmallFile) -> bool:
    """Downloads one file; returns False if the server does not have it."""
    cause = ""
    for _ in range(_TRIES):
        try:
            with server.get(connection, file.url) as response:
                metadata = server.read_metadata(response)
                content = _read(response, file.url)
        except server.GoneError:
            return False
        except server.LostConnectionError as error:
            cause = str(error)
            continue
        if metadata.size not in (None, len(content)):
            cause = f"received {len(content)} of {metadata.size} bytes"
        elif metadata.checksum and checksums.checksum_bytes(content, metadata.checksum.kind) != metadata.checksum:
            cause = f"its {metadata.checksum.kind} is not {metadata.checksum.value}"
        else:
            part = file.path.with_name(file.path.name + ".part")
            part.write_bytes(content)
            part.replace(file.path)
            return True
    raise server.FetchError(f"{file.url} was damaged in {_TRIES} downloads ({cause})")


def _read(response: requests.Response, url: str) -> bytes:
    content = bytearray()
    for chunk in server.read_chunks(response, server.Pace(url)):
        content += chunk
        if len(content) > _LARGEST:
            raise server.FetchError(f"{url} sends more than {_LARGEST >> 20} MiB, which is no image")
    return bytes(content)
