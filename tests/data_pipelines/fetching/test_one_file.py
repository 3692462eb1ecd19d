"""One file from a real server that does what servers and networks do wrong."""

from __future__ import annotations

import hashlib
import random

import pytest

from data_pipelines.fetching import one_file
from data_pipelines.fetching import server as client

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "/a.zip"


@pytest.fixture(autouse=True)
def serve(server):
    server.files[PATH] = CONTENT
    server.kind = "s3"


@pytest.fixture
def fetch(server, tmp_path):
    """Fetches the file; returns its bytes, after a look that nothing else is left."""

    def fetch(**known) -> bytes:
        path = tmp_path / "a.zip"
        with client.session() as connection:
            one_file.fetch(connection, server.url + PATH, path, **known)
        assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]
        return path.read_bytes()

    return fetch


@pytest.mark.parametrize("kind", ["s3", "gcs", "gcs_composite", "plain"])
def test_fetches_and_checks_what_is_known(server, fetch, kind):
    server.kind = kind
    assert fetch(size=len(CONTENT), sha256=SHA256) == CONTENT


def test_resumes_where_the_connection_broke_off(server, fetch):
    server.cuts[PATH] = [1_200_000, 700_000]
    assert fetch(size=len(CONTENT), sha256=SHA256) == CONTENT
    ranges = [request.range for request in server.requests]
    assert ranges[0] is None
    assert all(asked and int(asked[6:-1]) > 0 for asked in ranges[1:])
    assert server.sent(PATH) < len(CONTENT) + 2 * (1 << 20)


def test_fetches_what_is_sent_in_chunks_of_unstated_size(server, fetch):
    server.states_size = False
    server.cuts[PATH] = [1_500_000]
    assert fetch() == CONTENT


def test_starts_over_where_the_server_ignores_ranges(server, fetch):
    server.ignores_range = True
    server.cuts[PATH] = [1_500_000, 2_500_000]
    assert fetch(sha256=SHA256) == CONTENT


def test_starts_over_when_the_file_has_changed(server, fetch, tmp_path):
    _break_off(server, fetch)
    assert (tmp_path / "a.zip.part").stat().st_size > 0
    changed = server.files[PATH] = random.Random(1).randbytes(2_000_000)
    assert fetch() == changed
    assert server.requests[-1].status == 200


def test_starts_over_when_the_server_mixes_up_versions(server, fetch):
    # It says 206 to a range of another version, as a cache that does not know If-Range may.
    _break_off(server, fetch)
    server.files[PATH] = CONTENT[::-1]
    server.etags[PATH] = '"other"'
    server.trusts_range = True
    assert fetch(sha256=hashlib.sha256(CONTENT[::-1]).hexdigest()) == CONTENT[::-1]
    assert [request.status for request in server.requests[-2:]] == [206, 200]


def test_starts_over_when_there_is_more_than_the_server_has(server, fetch, tmp_path):
    _break_off(server, fetch)
    with open(tmp_path / "a.zip.part", "ab") as part:
        part.write(bytes(4_000_000))
    assert fetch() == CONTENT
    assert [request.status for request in server.requests[-2:]] == [416, 200]


def test_starts_over_without_a_note_of_the_version(server, fetch, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"of something else")
    assert fetch() == CONTENT


def test_needs_no_server_for_a_part_that_is_whole(server, fetch, tmp_path):
    _break_off(server, fetch)
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    server.requests.clear()
    assert fetch() == CONTENT
    assert not server.requests


def test_asks_a_busy_server_again(server, fetch):
    server.statuses[PATH] = [503, 500, 429]
    assert fetch() == CONTENT


@pytest.mark.parametrize("kind", ["s3", "gcs", "gcs_composite"])
def test_finds_damage_by_what_the_server_states(server, fetch, tmp_path, kind):
    server.kind = kind
    _break_off(server, fetch)
    part = tmp_path / "a.zip.part"
    part.write_bytes(bytes(part.stat().st_size))
    algorithm = "crc32c" if kind == "gcs_composite" else "md5"
    with pytest.raises(ValueError, match=f"a.zip was damaged and deleted: the {algorithm} of .* run this again"):
        fetch()
    assert not list(tmp_path.iterdir())


def test_finds_damage_by_what_is_known(server, fetch, tmp_path):
    server.files[PATH] = CONTENT[:-1] + b"?"
    with pytest.raises(ValueError, match="was damaged and deleted: the sha256 of"):
        fetch(size=len(CONTENT), sha256=SHA256)
    assert not list(tmp_path.iterdir())


def test_refuses_a_file_of_another_size_before_it_is_fetched(server, fetch, tmp_path):
    server.files[PATH] = CONTENT[:1000]
    with pytest.raises(ValueError, match="has 1000 bytes on its server, not the 3000000 of the published file"):
        fetch(size=len(CONTENT), sha256=SHA256)
    assert not list(tmp_path.iterdir())


def test_takes_no_etag_of_another_server_for_an_md5(server, fetch):
    server.kind = "plain"
    server.etags[PATH] = '"' + "0" * 32 + '"'
    assert fetch() == CONTENT


def test_gives_up_on_a_server_that_always_breaks_off(server, fetch):
    server.ignores_range = True
    server.cuts[PATH] = [1000] * 50
    with pytest.raises(client.FetchError, match=r"cannot download more than \d+ bytes of http"):
        fetch()


def test_every_byte_counts(server, fetch):
    """However little came before the connection was lost, the next request asks for the rest."""
    server.cuts[PATH] = [100_000] * 100
    assert fetch(size=len(CONTENT), sha256=SHA256) == CONTENT
    assert len(server.requests) == 30
    assert server.sent(PATH) == len(CONTENT)


@pytest.mark.parametrize("fault", ["wrong range", "416", "another version each time"])
def test_starting_over_ends(fault, server, fetch):
    server.cuts[PATH] = [50_000, 40_000] * 1000
    if fault == "wrong range":
        server.says["Content-Range"] = f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}"
    elif fault == "416":
        server.refuses_range = True
    else:
        server.ignores_range = True
    with pytest.raises(client.FetchError, match=r"cannot download more than \d+ bytes of http.+a\.zip"):
        fetch()
    assert len(server.requests) < 20


def test_stops_at_the_size(server, fetch, tmp_path):
    server.states_size = False
    with pytest.raises(client.FetchError, match=r"a\.zip sends more than 1000 bytes"):
        fetch(size=1000)
    assert not list(tmp_path.iterdir())


def test_gives_up_on_a_server_that_is_too_slow(server, fetch, monkeypatch):
    monkeypatch.setattr(client, "_WINDOW", 0.1)
    monkeypatch.setattr(client, "_SLOWEST", 1e6)
    server.bytes_per_second = 40_000
    with pytest.raises(client.FetchError, match=r"a\.zip is too slow: \d+ bytes came in 0 s"):
        fetch()


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Content-Length": "many"}, r"states a size that is no number of bytes \('many'\)"),
        ({"Content-Length": "-1"}, r"states a size that is no number of bytes \('-1'\)"),
        ({"Content-Length": "9" * 5000}, r"states a size that is no number of bytes \('9{50}'\)"),
        ({"x-goog-hash": "md5=%%%"}, r"states an unreadable md5 \('%%%'\)"),
        ({"x-goog-hash": "crc32c=A"}, r"states an unreadable crc32c \('A'\)"),
    ],
)
def test_metadata_that_cannot_be_read(headers, message, server, fetch):
    server.kind, server.says = "gcs", headers
    with pytest.raises(client.FetchError, match=r"^http\S+a\.zip " + message):
        fetch()


@pytest.mark.parametrize("status", [206, 416, 304, 418])
def test_an_answer_to_another_question(status, server, fetch):
    server.statuses[PATH] = [status]
    with pytest.raises(client.FetchError, match=rf"a\.zip answers {status} "):
        fetch()


def test_does_not_wait_as_long_as_a_server_asks_for():
    with client.session() as connection:
        retries = connection.get_adapter("https://").max_retries
    assert not retries.respect_retry_after_header


@pytest.mark.parametrize("note", ["5", "[]", "[1, 2, 3]", '["\\"a\\"", 1, ["sha1", "0"]]', "[" * 100_000, "{"])
def test_a_note_that_cannot_be_read_is_no_note(note, server, fetch, tmp_path):
    (tmp_path / "a.zip.part").write_bytes(b"something else")
    (tmp_path / "a.zip.part.json").write_text(note)
    assert fetch() == CONTENT


def test_says_what_is_not_there(server, fetch):
    del server.files[PATH]
    with pytest.raises(client.GoneError, match=r"a\.zip answers 404 Not Found"):
        fetch()


def test_says_what_cannot_be_reached(tmp_path, monkeypatch, server):
    with client.session() as connection, pytest.raises(client.FetchError) as caught:
        one_file.fetch(connection, "http://127.0.0.1:9/a.zip", tmp_path / "a.zip")
    message = str(caught.value)
    assert message.startswith("cannot reach http://127.0.0.1:9/a.zip (Failed to establish a new connection: ")
    assert "\n" not in message
    assert caught.value.errno is None


def _break_off(server, fetch) -> None:
    """Leaves a part of the file, of a server that then gave up."""
    server.cuts[PATH] = [1_500_000]
    server.statuses[PATH] = []
    content = server.files.pop(PATH)

    class Once(dict):
        """Has the file for the first request only."""

        def get(self, path, default=None):
            return self.pop(path, default)

    files, server.files = server.files, Once({PATH: content})
    with pytest.raises(client.GoneError):
        fetch()
    server.files = files
    server.files[PATH] = content
