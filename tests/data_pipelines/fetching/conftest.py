from __future__ import annotations

import pytest

from tests.support import file_server


@pytest.fixture
def server(monkeypatch):
    with file_server.running(monkeypatch) as server:
        yield server
