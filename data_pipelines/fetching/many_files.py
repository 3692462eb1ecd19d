"""Fetches a great many small files, many at once."""

from __future__ import annotations

import collections
import concurrent.futures
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import requests
import tqdm

from data_pipelines.fetching import checksums, server

# Requests under way at once: an image takes far longer to be found than to be sent.
_CONNECTIONS = 32
_TRIES = 4


class SmallFile(NamedTuple):
    """A file that fits into memory: its address, and where it shall lie."""

    url: str
    path: pathlib.Path


def fetch_all(files: Sequence[SmallFile], description: str) -> list[SmallFile]:
    """Fetches files, each of which appears under its name when it is whole.

    Args:
      files: to fetch, in folders that exist.
      description: for the progress bar.

    Returns:
      Those that the servers do not have.

    Raises:
      server.FetchError: a server cannot be reached, or sends a file damaged time and again.
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
                if len(pending) > 4 * _CONNECTIONS:  # Enough to keep all busy while the oldest is waited for.
                    settle()
            while pending:
                settle()
        finally:
            pool.shutdown(cancel_futures=True)
    return gone


def _fetch(connection: requests.Session, file: SmallFile) -> bool:
    """Fetches one file; returns False if the server does not have it."""
    cause = ""
    for _ in range(_TRIES):
        try:
            with server.get(connection, file.url) as response:
                content, stated = response.content, server.stated(response)
        except server.GoneError:
            return False
        except requests.RequestException as error:  # The body broke off.
            cause = server.reason(error)
            continue
        if stated.size not in (None, len(content)):
            cause = f"{len(content)} bytes of {stated.size} came"
        elif stated.checksum and checksums.checksum_bytes(content, stated.checksum.kind) != stated.checksum:
            cause = f"its {stated.checksum.kind} is not {stated.checksum.value}"
        else:
            part = file.path.with_name(file.path.name + ".part")
            part.write_bytes(content)
            part.replace(file.path)
            return True
    raise server.FetchError(f"{file.url} came damaged {_TRIES} times ({cause})")
