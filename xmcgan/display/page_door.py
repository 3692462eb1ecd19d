"""What the demo page lets in: only requests that its controls send, and an address that it can listen on."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable
from typing import Any, Callable

_Messages = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_LARGEST_BODY = 1 << 20  # Bytes. Captions have some thousand, and images stay on the server.


class PageDoor:
    """ASGI middleware that refuses uploads, which the page has no control for, and other bodies beyond 1 MiB."""

    def __init__(self, app: Callable):
        """Stores the application behind the door."""
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: _Messages, send: _Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].rstrip("/").endswith("/upload"):
            await _refuse(send, 403, b"This page takes no files.")
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 12 or int(length) > _LARGEST_BODY:
            await _refuse(send, 413, b"This request is too large.")
            return
        received = 0

        async def bounded() -> dict[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message if received <= _LARGEST_BODY else {"type": "http.disconnect"}

        await self._app(scope, bounded, send)


async def _refuse(send: _Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def free_port(host: str, port: int) -> int:
    """Checks that the page can listen on an address.

    Args:
      host: name or address of this machine, as in `--host`.
      port: as in `--port`; 0 for any that is free.

    Returns:
      The port.

    Raises:
      OSError: names the flag to change.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return probe.getsockname()[1]
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(f"--host={host} is no address of this machine: give one, such as 127.0.0.1") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"--port={port} is in use: give another --port, or --port=0 for any that is free") from error
        if error.errno == errno.EACCES:
            raise OSError(f"--port={port} is not for all users: give a --port from 1024 on") from error
        raise OSError(f"--host={host} is no address of this machine ({error.strerror}): give another") from error
