from __future__ import annotations

import file_server
import pytest


@pytest.fixture
def server(monkeypatch):
    with file_server.running(monkeypatch) as server:
        yield server
