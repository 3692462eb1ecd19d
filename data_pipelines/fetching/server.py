"""Requests a file from a server, and reads the file's metadata and its bytes from the response."""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import logging
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import requests
import requests.adapters
import urllib3

from data_pipelines.fetching import checksums

# Seconds to wait before the second retry; doubled for each later one.
BACKOFF = 0.5
_RETRIES = 5
_TIMEOUT = (10, 60)  # Seconds to connect, and seconds without receiving a byte.
_BUSY = (429, 500, 502, 503, 504)
_GONE = (403, 404, 410)  # S3 answers 403 for a file that does not exist.
_CHUNK = 1 << 20  # Most bytes that are handled together.
# A server that sends fewer bytes per second than this, on average over this many seconds, is given up.
_SLOWEST, _WINDOW = 1000, 600.0


class FetchError(OSError):
    """A server could not be reached or did not send a file. The message is one line with the file's address."""


class GoneError(FetchError):
    """The server has no such file, or refuses access to it."""


class LostConnectionError(FetchError):
    """The connection was lost before the whole body was there. The message is the reason."""


class FileMetadata(NamedTuple):
    """A server's metadata of a file.

    Attributes:
      etag: the server's strong identifier of this version of the file (it guarantees equal bytes), or None.
      size: bytes of the whole file, or None if not stated.
      checksum: checksum of the whole file, or None if not stated.
    """

    etag: str | None
    size: int | None
    checksum: checksums.Checksum | None


def session(num_connections: int = 1) -> requests.Session:
    """Returns a session that keeps connections open and retries when a server is busy or cannot be reached."""
    retry = urllib3.Retry(
        total=_RETRIES,
        backoff_factor=BACKOFF,
        status_forcelist=_BUSY,
        raise_on_status=False,
        respect_retry_after_header=False,  # A server may ask for a day.
    )
    adapter = requests.adapters.HTTPAdapter(max_retries=retry, pool_maxsize=num_connections)
    # Silence urllib3, which reports each retry in several lines. If all retries fail, an error is raised.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    connection = requests.Session()
    connection.mount("http://", adapter)
    connection.mount("https://", adapter)
    # No compression, because sizes, ranges and checksums refer to the bytes that are transferred.
    connection.headers["Accept-Encoding"] = "identity"
    return connection


@contextlib.contextmanager
def get(
    connection: requests.Session, url: str, offset: int = 0, etag: str | None = None, head: bool = False
) -> Iterator[requests.Response]:
    """Requests a file; the caller reads the body from the response.

    Args:
      connection: a session of `session`.
      url: address of the file.
      offset: bytes to skip, provided that the file's version is still `etag`.
      etag: see `offset`.
      head: request only the metadata, without the body.

    Yields:
      The response, with status 200 (the whole file); or if the rest was asked for, 206 (the rest) or 416 (there is no
      rest).

    Raises:
      GoneError: the server has no such file.
      FetchError: the server cannot be reached, or answers with another error.
    """
    headers = {"Range": f"bytes={offset}-", "If-Range": etag} if offset and etag else {}
    try:
        response = connection.request(
            "HEAD" if head else "GET", url, headers=headers, stream=True, timeout=_TIMEOUT, allow_redirects=True
        )
    except requests.RequestException as error:
        raise FetchError(f"cannot reach {url} ({reason(error)})") from error
    with response:
        if response.status_code not in ((200, 206, 416) if headers else (200,)):
            kind = GoneError if response.status_code in _GONE else FetchError
            raise kind(f"{url} answers {response.status_code} {response.reason}")
        yield response


class Pace:
    """Watches how fast bytes arrive from a server, also over several requests."""

    def __init__(self, url: str):
        """Begins now; the address is for the error message."""
        self._url, self._began, self._received = url, time.monotonic(), 0

    def add(self, received: int) -> None:
        """Counts bytes.

        Raises:
          FetchError: too few have arrived.
        """
        self._received += received
        seconds = time.monotonic() - self._began
        if seconds < _WINDOW:
            return
        if self._received < _SLOWEST * seconds:
            raise FetchError(f"{self._url} is too slow: {self._received} bytes came in {seconds:.0f} s")
        self._began, self._received = time.monotonic(), 0


def read_chunks(response: requests.Response, pace: Pace) -> Iterator[bytes]:
    """Yields the bytes of the body as they arrive, so that none is lost if the connection is.

    Raises:
      LostConnectionError: the connection was lost, or no byte came for a minute.
      FetchError: the server is too slow.
    """
    while True:
        try:
            chunk = response.raw.read1(_CHUNK, decode_content=False)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise LostConnectionError(reason(error)) from error
        if not chunk:
            return
        pace.add(len(chunk))
        yield chunk


def read_metadata(response: requests.Response) -> FileMetadata:
    """Reads the metadata of the whole file from a response.

    Raises:
      FetchError: the size or a checksum cannot be read.
    """
    headers = response.headers
    etag = headers.get("ETag", "")
    whole = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", headers.get("Content-Range", ""))
    length = whole[1] if whole else headers.get("Content-Length") if response.status_code == 200 else None
    if length and not re.fullmatch(r"[0-9]{1,18}", length):
        raise FetchError(f"{response.url} states a size that is no number of bytes ({length[:50]!r})")
    return FileMetadata(
        etag=etag if etag.startswith('"') else None,  # A weak etag (W/) does not guarantee equal bytes.
        size=int(length) if length else None,
        checksum=_read_checksum(response.url, headers),
    )


def _read_checksum(url: str, headers: requests.structures.CaseInsensitiveDict) -> checksums.Checksum | None:
    """Reads the checksum of the whole file from a response's headers, if there is one.

    Google Cloud Storage sends `x-goog-hash: crc32c=...,md5=...` of the bytes as stored. S3 sends an MD5 as ETag.
    """
    if headers.get("x-goog-stored-content-encoding", "identity") == "identity":
        entries = (entry.strip().partition("=") for entry in headers.get("x-goog-hash", "").split(","))
        hashes = {kind: value for kind, _, value in entries}
        for kind in ("md5", "crc32c"):  # A composite object, made of several others, has no MD5.
            if kind in hashes:
                try:
                    return checksums.Checksum(kind, base64.b64decode(hashes[kind], validate=True).hex())
                except (binascii.Error, ValueError) as error:
                    raise FetchError(f"{url} states an unreadable {kind} ({hashes[kind][:50]!r})") from error
    # The ETag of an object that was uploaded to S3 in several parts has a dash and is not an MD5.
    md5 = re.fullmatch('"([0-9a-f]{32})"', headers.get("ETag", ""))
    if md5 and headers.get("Server") == "AmazonS3":
        return checksums.Checksum("md5", md5[1])
    return None


def reason(error: Exception) -> str:
    """Returns in a few words why a request failed, as stated by the innermost of the wrapped exceptions."""
    while error.args and isinstance(getattr(error.args[0], "reason", error.args[0]), Exception):
        error = getattr(error.args[0], "reason", error.args[0])
    text = " ".join(str(error.args[0] if error.args else error).split())
    return re.sub(r"^(<.*? object at 0x\w+>|HTTPS?Connection(Pool)?\(.*?\)): ", "", text)
