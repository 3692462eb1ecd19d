"""What the demo page lets in: only requests that its controls send, which are small and arrive soon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Callable

_Messages = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_LARGEST_BODY = 1 << 20  # Bytes. Captions have some thousand, and images stay on the server.
_SLOWEST_BODY = 30.0  # Seconds until it is complete.
_TOO_LARGE = 413, b"This request is too large."
_TOO_SLOW = 408, b"This request came too slowly."
_NO_FILES = 403, b"This page takes no files."


class PageDoor:
    """ASGI middleware that refuses uploads, which the page has no control for, and other large or slow bodies."""

    def __init__(self, app: Callable):
        """Stores the application behind the door."""
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: _Messages, send: _Send) -> None:
        """Handles a request; the application begins when its body is complete."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].rstrip("/").endswith("/upload"):
            await _refuse(send, *_NO_FILES)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 12 or int(length) > _LARGEST_BODY:
            await _refuse(send, *_TOO_LARGE)
            return
        try:
            body = await asyncio.wait_for(_body(receive), _SLOWEST_BODY)
        except OverflowError:
            await _refuse(send, *_TOO_LARGE)
        except asyncio.TimeoutError:
            await _refuse(send, *_TOO_SLOW)
        else:
            if body is not None:
                await self._app(scope, _after(body, receive), send)


async def _body(receive: _Messages) -> bytes | None:
    """Returns the body of a request, or None if the client has gone; OverflowError if it is too large."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > _LARGEST_BODY:
            raise OverflowError
        more = message.get("more_body", False)
    return bytes(body)


def _after(body: bytes, receive: _Messages) -> _Messages:
    """Returns a function that gives the body first, and then what comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive_after() -> dict[str, Any]:
        return next(messages, None) or await receive()

    return receive_after


async def _refuse(send: _Send, status: int, text: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
