from __future__ import annotations

import random

import pytest

from data_pipelines.fetching import many_files
from data_pipelines.fetching import server as client


@pytest.fixture(autouse=True)
def serve(server):
    server.kind = "s3"
    server.files.update({f"/{number:03d}.jpg": random.Random(number).randbytes(2000) for number in range(300)})


@pytest.fixture
def wanted(server, tmp_path):
    return [many_files.SmallFile(server.url + path, tmp_path / path[1:]) for path in server.files]


def test_fetches_all(server, wanted, tmp_path):
    assert many_files.fetch_all(wanted, "images") == []
    assert {f"/{path.name}": path.read_bytes() for path in tmp_path.iterdir()} == server.files


def test_goes_on_past_those_that_are_gone(server, wanted):
    server.statuses["/007.jpg"] = [403]
    del server.files["/100.jpg"]
    assert many_files.fetch_all(wanted, "images") == [wanted[7], wanted[100]]
    assert sum(file.path.exists() for file in wanted) == 298
    assert not wanted[7].path.exists()


def test_fetches_again_what_came_cut_or_while_the_server_was_busy(server, wanted, tmp_path):
    server.cuts["/003.jpg"] = [0, 100, 1999]
    server.statuses["/004.jpg"] = [503, 500]
    assert many_files.fetch_all(wanted, "images") == []
    assert {f"/{path.name}": path.read_bytes() for path in tmp_path.iterdir()} == server.files


def test_does_not_keep_what_came_damaged(server, wanted):
    server.etags["/005.jpg"] = '"' + "0" * 32 + '"'
    with pytest.raises(client.FetchError, match=r"005\.jpg was damaged in 4 downloads \(its md5 is not 0000"):
        many_files.fetch_all(wanted, "images")
    assert not wanted[5].path.exists()


def test_stops_when_the_server_cannot_be_reached(wanted, tmp_path):
    unreachable = [file._replace(url="http://127.0.0.1:9/a.jpg") for file in wanted]
    with pytest.raises(client.FetchError, match="cannot reach"):
        many_files.fetch_all(unreachable, "images")
    assert not list(tmp_path.iterdir())


def test_an_image_without_end(server, wanted, monkeypatch):
    monkeypatch.setattr(many_files, "_LARGEST", 1 << 12)
    server.files[next(iter(server.files))] = bytes(1 << 20)
    with pytest.raises(client.FetchError, match=r"http\S+ sends more than 0 MiB, which is no image"):
        many_files.fetch_all(wanted, "try")
