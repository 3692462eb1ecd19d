"""Asks a server for a file, and reads what it states of it."""

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
_TIMEOUT = (10, 60)  # Seconds to connect, and without a byte.
_BUSY = (429, 500, 502, 503, 504)
_GONE = (403, 404, 410)  # S3 answers 403 for what is not there.


class FetchError(OSError):
    """A server could not be reached, or would not give a file; one line that names its address."""


class GoneError(FetchError):
    """The server has no such file, or gives it to nobody."""


class Stated(NamedTuple):
    """What a server states of a file.

    Attributes:
      etag: the server's name for this version of it; None if it has none that stands for equal bytes.
      size: bytes of the whole, if stated.
      checksum: of the whole, if stated.
    """

    etag: str | None
    size: int | None
    checksum: checksums.Checksum | None


def session(num_connections: int = 1) -> requests.Session:
    """Makes a session that keeps connections open and asks again when a server is busy or hard to reach."""
    retry = urllib3.Retry(total=_RETRIES, backoff_factor=BACKOFF, status_forcelist=_BUSY, raise_on_status=False)
    adapter = requests.adapters.HTTPAdapter(max_retries=retry, pool_maxsize=num_connections)
    # It would report each retry by several lines; what cannot be mended by asking again is raised.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    made = requests.Session()
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    made.headers["Accept-Encoding"] = "identity"  # Sizes, ranges and checksums are those of the bytes as they travel.
    return made


@contextlib.contextmanager
def get(
    connection: requests.Session, url: str, offset: int = 0, etag: str | None = None, head: bool = False
) -> Iterator[requests.Response]:
    """Asks for a file; the body is still to be read.

    Args:
      connection: of `session`.
      url: of the file.
      offset: bytes to leave out at the front, provided that the file's version is still `etag`.
      etag: see `offset`.
      head: ask what the server states of the file, without its body.

    Yields:
      The response, of status 200 (the whole file), 206 (the rest) or 416 (there is no rest).

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


def stated(response: requests.Response) -> Stated:
    """Reads what a response states of the whole file."""
    headers = response.headers
    etag = headers.get("ETag", "")
    whole = re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", headers.get("Content-Range", ""))
    length = whole[1] if whole else headers.get("Content-Length") if response.status_code == 200 else None
    return Stated(
        etag=etag if etag.startswith('"') else None,  # One that begins with W/ stands for equal meaning only.
        size=int(length) if length else None,
        checksum=_stated_checksum(headers),
    )


def _stated_checksum(headers: requests.structures.CaseInsensitiveDict) -> checksums.Checksum | None:
    """Google Cloud Storage sends `x-goog-hash: crc32c=...,md5=...`, of the bytes as stored; S3 an MD5 as ETag."""
    if headers.get("x-goog-stored-content-encoding", "identity") == "identity":
        parts = (part.strip().partition("=") for part in headers.get("x-goog-hash", "").split(","))
        hashes = {kind: value for kind, _, value in parts}
        for kind in ("md5", "crc32c"):  # An object that was put together from several has no MD5.
            if kind in hashes:
                return checksums.Checksum(kind, base64.b64decode(hashes[kind]).hex())
    # An object that came to S3 in several parts has a dash in its ETag, which then is no MD5.
    md5 = re.fullmatch('"([0-9a-f]{32})"', headers.get("ETag", ""))
    if md5 and headers.get("Server") == "AmazonS3":
        return checksums.Checksum("md5", md5[1])
    return None


def reason(error: Exception) -> str:
    """Why a request failed, in a few words: what lies at the bottom of the exceptions that libraries wrap."""
    while error.args and isinstance(getattr(error.args[0], "reason", error.args[0]), Exception):
        error = getattr(error.args[0], "reason", error.args[0])
    text = " ".join(str(error.args[0] if error.args else error).split())
    return re.sub(r"^(<.*? object at 0x\w+>|HTTPS?Connection(Pool)?\(.*?\)): ", "", text)
