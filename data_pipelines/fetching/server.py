"""Requests a file from a server, and reads the file's metadata from the response."""

from __future__ import annotations

import base64
import contextlib
import logging
import re
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


class FetchError(OSError):
    """A server could not be reached or did not send a file. The message is one line with the file's address."""


class GoneError(FetchError):
    """The server has no such file, or refuses access to it."""


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
    retry = urllib3.Retry(total=_RETRIES, backoff_factor=BACKOFF, status_forcelist=_BUSY, raise_on_status=False)
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
      The response, with status 200 (the whole file), 206 (the rest) or 416 (there is no rest).

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
        if response.status_code not in (200, 206, 416):
            kind = GoneError if response.status_code in _GONE else FetchError
            raise kind(f"{url} answers {response.status_code} {response.reason}")
        yield response


def read_metadata(response: requests.Response) -> FileMetadata:
    """Reads the metadata of the whole file from a response."""
    headers = response.headers
    etag = headers.get("ETag", "")
    whole = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", headers.get("Content-Range", ""))
    length = whole[1] if whole else headers.get("Content-Length") if response.status_code == 200 else None
    return FileMetadata(
        etag=etag if etag.startswith('"') else None,  # A weak etag (W/) does not guarantee equal bytes.
        size=int(length) if length else None,
        checksum=_read_checksum(headers),
    )


def _read_checksum(headers: requests.structures.CaseInsensitiveDict) -> checksums.Checksum | None:
    """Reads the checksum of the whole file from a response's headers, if there is one.

    Google Cloud Storage sends `x-goog-hash: crc32c=...,md5=...` of the bytes as stored. S3 sends an MD5 as ETag.
    """
    if headers.get("x-goog-stored-content-encoding", "identity") == "identity":
        entries = (entry.strip().partition("=") for entry in headers.get("x-goog-hash", "").split(","))
        hashes = {kind: value for kind, _, value in entries}
        for kind in ("md5", "crc32c"):  # A composite object, made of several others, has no MD5.
            if kind in hashes:
                return checksums.Checksum(kind, base64.b64decode(hashes[kind]).hex())
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
