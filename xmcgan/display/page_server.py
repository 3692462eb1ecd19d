"""Serves the demo page: Gradio's own server has no bounds of time and number for connections, this one has."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from xmcgan.display.page_door import PageDoor

_MOST_CONNECTIONS = 256  # At the same time. A browser has up to 6.
_BACKLOG = 64  # Connections that are accepted at once, before others are looked at.
_LONGEST_SILENCE = 20.0  # Seconds for the headers of a request, and for a client to take what was sent.
_LARGEST_HEADERS = 1 << 16  # Bytes.
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\n"
    b"content-length: 37\r\n\r\nToo many connections: try again later"
)


class BoundedConnection(H11Protocol):
    """An HTTP connection that ends if the client neither asks nor reads for a while, or if there are too many.

    A request's body is the concern of `PageDoor`. Answers may take as long as they need. uvicorn has no settings for
    these bounds.
    """

    _unasked: asyncio.TimerHandle | None = None  # Runs while no request is complete.
    _unread: asyncio.TimerHandle | None = None  # Runs while the client does not take what was sent.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._unasked = self._end_later(None)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.write(_BUSY)
            transport.close()

    def handle_events(self) -> None:
        """Handles what has arrived; uvicorn calls it. A request has arrived when its headers are complete."""
        super().handle_events()
        if self._unasked and self.cycle is not None and not self.cycle.response_complete:
            self._unasked.cancel()

    def on_response_complete(self) -> None:
        """Begins to wait for the next request; uvicorn calls it."""
        self._unasked = self._end_later(self._unasked)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begins to wait for a client that does not read."""
        super().pause_writing()
        self._unread = self._end_later(self._unread)

    def resume_writing(self) -> None:
        """Goes on with a client that has read."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the connection."""
        super().connection_lost(exc)
        for timer in (self._unasked, self._unread):
            if timer:
                timer.cancel()

    def _end_later(self, timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle:
        if timer:
            timer.cancel()
        return self.loop.call_later(_LONGEST_SILENCE, self.transport.abort)


def server(app: Callable) -> uvicorn.Server:
    """Returns a server of an ASGI application, with bounded requests and connections; a signal ends its `run`.

    Args:
      app: the application.
    """
    config = uvicorn.Config(
        PageDoor(app),
        http=BoundedConnection,
        ws="none",
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=_LARGEST_HEADERS,
        timeout_graceful_shutdown=2,
        log_level="error",
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Takes a port, before the page is ready to answer there.

    Args:
      host: name or address of this machine, as in `--host`.
      port: as in `--port`; 0 for any that is free.

    Returns:
      The socket, which is bound to the port, and is to be closed by the caller.

    Raises:
      OSError: names the flag to change.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
        return listener
    except (socket.gaierror, UnicodeError) as error:
        raise OSError(f"--host={host} is no address of this machine: give one, such as 127.0.0.1") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"--port={port} is in use: give another --port, or --port=0 for any that is free") from error
        if error.errno == errno.EACCES:
            raise OSError(f"--port={port} is not for all users: give a --port from 1024 on") from error
        raise OSError(f"--host={host} is no address of this machine ({error.strerror}): give another") from error


def address(listener: socket.socket) -> str:
    """Returns the address of the page for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
