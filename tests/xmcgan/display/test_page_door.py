"""What the demo page lets in, without Gradio."""

from __future__ import annotations

import asyncio

import pytest

from xmcgan.display import page_door
from xmcgan.display.page_door import PageDoor


def _ask(path, body=b"", headers=(), kind="http"):
    """Sends a request in parts of 1000 bytes; returns the status, and how much of the body came through."""
    seen, sent = [], []

    async def application(scope, receive, send):
        while scope["type"] == "http":
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            seen.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})

    parts = [body[i : i + 1000] for i in range(0, len(body), 1000)] or [b""]
    messages = iter([{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts])

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    asyncio.run(PageDoor(application)({"type": kind, "path": path, "headers": list(headers)}, receive, send))
    return (sent[0]["status"] if sent else None), sum(map(len, seen))


@pytest.mark.parametrize("path", ["/upload", "/gradio_api/upload", "/gradio_api/upload/"])
def test_uploads_are_refused_unread(path):
    assert _ask(path, b"x" * 5000) == (403, 0)


def test_what_the_page_sends_comes_in():
    assert _ask("/gradio_api/queue/join", b"x" * 5000, [(b"content-length", b"5000")]) == (200, 5000)
    assert _ask("/gradio_api/upload_progress") == (200, 0)
    assert _ask("/", kind="lifespan") == (200, 0)


@pytest.mark.parametrize("length", [b"9" * 10, b"9" * 5000, b"-1", b"many", b""])
def test_large_bodies_are_refused_unread(length):
    assert _ask("/gradio_api/queue/join", b"x" * 5000, [(b"content-length", length)]) == (413, 0)


def test_a_body_of_unstated_size_is_cut(monkeypatch):
    monkeypatch.setattr(page_door, "_LARGEST_BODY", 2500)
    assert _ask("/gradio_api/queue/join", b"x" * 5000) == (413, 0)
