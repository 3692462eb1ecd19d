"""A real file server on this machine that can imitate faults of servers and networks."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.server
import re
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from data_pipelines.fetching import server as client


class Request(NamedTuple):
    """A request and its answer."""

    method: str
    path: str
    range: str | None
    status: int
    sent: int  # Bytes of the body that were sent.


class FileServer(http.server.ThreadingHTTPServer):
    """Serves `files`, and records the requests.

    Attributes:
      files: content by path.
      etags: ETags by path; the default is the MD5 of the content, as on S3.
      kind: kind of server whose headers to send: 's3', 'gcs', 'gcs_composite' (without MD5) or 'plain' (no checksum).
      cuts: numbers of bytes by path; each breaks off one connection after that many bytes of the body.
      statuses: status codes by path, which are answered first, one per request.
      ignores_range: whether to answer with the whole file always.
      refuses_range: whether to answer 416 to every request for a rest.
      says: headers by name, which replace those of every answer.
      trusts_range: whether to send the rest of a file without checking that its version is the same.
      states_size: whether to send the size of a file; if not, it is sent in chunks.
      bytes_per_second: limit of the throughput, if any.
      requests: all requests so far.
    """

    daemon_threads = True
    request_queue_size = 128  # With a full queue, further clients wait for a second.

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.kind = "plain"
        self.cuts: dict[str, list[int]] = {}
        self.statuses: dict[str, list[int]] = {}
        self.ignores_range = False
        self.refuses_range = False
        self.says: dict[str, str] = {}
        self.trusts_range = False
        self.states_size = True
        self.bytes_per_second: float | None = None
        self.requests: list[Request] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def sent(self, path: str) -> int:
        """Returns the bytes of a file that were sent so far."""
        return sum(request.sent for request in self.requests if request.path == path)

    def __exit__(self, *args) -> None:
        self.shutdown()
        super().__exit__(*args)

    def handle_error(self, request, client_address) -> None:
        """Ignores clients that have disconnected, such as killed ones."""


@contextlib.contextmanager
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Runs a server that is contacted without a proxy, and to which clients return without delay after errors."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(client, "BACKOFF", 0)
    with FileServer() as server:
        yield server


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Otherwise a body may wait until its header is acknowledged.

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def send_header(self, name: str, value: str) -> None:
        super().send_header(name, self.server.says.get(name, value))

    def log_message(self, *args) -> None:
        pass

    def version_string(self) -> str:
        return "AmazonS3" if self.server.kind == "s3" else "FileServer"

    def _answer(self, body: bool) -> None:
        server, content = self.server, self.server.files.get(self.path)
        asked = self.headers.get("Range")
        if server.statuses.get(self.path):
            return self._refuse(server.statuses[self.path].pop(0))
        if content is None:
            return self._refuse(404)
        md5 = hashlib.md5(content).digest()
        etag = server.etags.get(self.path, f'"{md5.hex()}"')
        start, status = 0, 200
        same = server.trusts_range or self.headers.get("If-Range", etag) == etag
        if asked and same and not server.ignores_range:
            start, status = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]), 206
            if start >= len(content) or server.refuses_range:
                return self._refuse(416, {"Content-Range": f"bytes */{len(content)}"})
        self.send_response(status)
        self.send_header("ETag", etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.kind.startswith("gcs"):
            hashes = [f"crc32c={base64.b64encode(crc32c_by_definition(content).to_bytes(4, 'big')).decode()}"]
            hashes += [f"md5={base64.b64encode(md5).decode()}"] if server.kind == "gcs" else []
            for pair in hashes:  # Google sends a separate header for each.
                self.send_header("x-goog-hash", pair)
        rest = content[start:]
        if server.states_size:
            self.send_header("Content-Length", str(len(rest)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        cut = server.cuts.get(self.path) if body else None
        end = cut.pop(0) if cut else len(rest)
        try:
            while body and sent < min(end, len(rest)):
                piece = rest[sent : min(end, sent + 8192)]
                self.wfile.write(piece if server.states_size else b"%x\r\n%s\r\n" % (len(piece), piece))
                sent += len(piece)
                if server.bytes_per_second:
                    time.sleep(len(piece) / server.bytes_per_second)
            if body and not server.states_size and not cut and end == len(rest):
                self.wfile.write(b"0\r\n\r\n")
        finally:
            server.requests.append(Request(self.command, self.path, asked, status, sent))
        if end < len(rest):
            self.close_connection = True

    def _refuse(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.server.requests.append(Request(self.command, self.path, self.headers.get("Range"), status, 0))
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()


@functools.lru_cache
def crc32c_by_definition(data: bytes) -> int:
    """Computes CRC-32C following its definition: bit by bit for each possible byte, then byte by byte."""
    of_byte = list(range(256))
    for _ in range(8):
        of_byte = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in of_byte]
    register = 0xFFFFFFFF
    for byte in data:
        register = register >> 8 ^ of_byte[(register ^ byte) & 0xFF]
    return register ^ 0xFFFFFFFF
