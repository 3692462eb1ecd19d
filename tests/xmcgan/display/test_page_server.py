"""Clients that take long, send much or come in numbers, against a real server of a small application."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

pytest.importorskip("uvicorn", reason="comes with Gradio, which needs Python 3.10")
from xmcgan.display import page_door, page_server

_GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
_POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
_LARGE = 20_000_000  # Bytes of an answer; no socket holds as much.


async def _application(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError  # It has nothing to do at the start and the end.
    body = (await receive())["body"]
    content = b"x" * _LARGE if scope["path"] == "/large" else b"%d" % len(body)
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture
def connect(monkeypatch):
    monkeypatch.setattr(page_server, "_LONGEST_SILENCE", 0.3)
    monkeypatch.setattr(page_server, "_MOST_CONNECTIONS", 3)
    monkeypatch.setattr(page_door, "_SLOWEST_BODY", 0.3)
    server = page_server.server(_application)
    with page_server.listen("127.0.0.1", 0) as listener, contextlib.ExitStack() as clients:
        listener.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield lambda: clients.enter_context(socket.create_connection(listener.getsockname(), timeout=5))
        server.should_exit = True
        thread.join()


def _answer(client) -> bytes:
    """Everything until the server ends the connection."""
    content = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1 << 16):
            content += part
    return content


def test_a_request_is_answered(connect):
    client = connect()
    client.sendall(_POST + b"content-length: 5\r\nconnection: close\r\n\r\nhello")
    assert _answer(client).endswith(b"\r\n\r\n5")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", b""),
        (b"GET / HT", b""),
        (_GET, b""),
        (_GET + b"\r\nGET", b"HTTP/1.1 200 "),
        (_POST + b"content-length: 10\r\n\r\nhel", b"HTTP/1.1 408 "),
        (_POST + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n", b"HTTP/1.1 408 "),
    ],
    ids=["nothing", "half a line", "half of the headers", "half of a second request", "half of a body", "a chunk"],
)
def test_a_client_that_takes_too_long_is_cut(connect, sent, status):
    client = connect()
    client.sendall(sent)
    began = time.monotonic()
    answer = _answer(client)
    assert 0.2 < time.monotonic() - began < 3
    assert answer[: len(status) or None] == status


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (_POST + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        (b"POST /upload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", b"10\r\n" + b"x" * 16 + b"\r\n"),
        (b"GET / HTTP/1.1\r\na: ", b"x" * 65536),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 1000),
        (b"GET /", b"x" * 65536),
    ],
    ids=["body", "upload", "header", "headers", "line"],
)
def test_a_request_without_end_is_cut(connect, begin, part):
    client = connect()
    client.sendall(begin)
    with pytest.raises(ConnectionError):
        for _ in range(100_000):
            client.sendall(part)


def test_too_many_connections_are_turned_away(connect):
    clients = [connect() for _ in range(4)]
    assert _answer(clients[3]).startswith(b"HTTP/1.1 503 ")
    clients[0].sendall(_GET + b"connection: close\r\n\r\n")
    assert _answer(clients[0]).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("further", [0, 500], ids=["one request", "many requests"])
def test_a_client_that_does_not_read_is_cut(connect, further):
    client = connect()
    client.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        for _ in range(7):  # It is not idle: it asks for more.
            client.sendall(further // 7 * (_GET + b"\r\n"))
            time.sleep(0.1)
    assert 0 < len(_answer(client)) < _LARGE


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(OSError, match=rf"^--port={port} is in use: give another --port, or --port=0"):
            page_server.listen("127.0.0.1", port)
    with page_server.listen("127.0.0.1", port) as listener:
        assert page_server.address(listener) == f"http://127.0.0.1:{port}/"
    with page_server.listen("0.0.0.0", 0) as listener:
        assert page_server.address(listener) == f"http://localhost:{listener.getsockname()[1]}/"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 300, "x..y"])
def test_an_address_of_another_machine(host):
    with pytest.raises(OSError, match=rf"^--host={host} is no address of this machine"):
        page_server.listen(host, 7860)
