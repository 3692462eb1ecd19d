"""Workers that meet before TensorFlow connects them: each a thread here."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import time

import pytest

from xmcgan.training import rendezvous


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [f"localhost:{each.getsockname()[1]}" for each in sockets]


@contextlib.contextmanager
def _pool():
    pool = concurrent.futures.ThreadPoolExecutor()
    try:
        yield pool
    finally:
        pool.shutdown(wait=False)


def test_all_go_on_when_the_last_has_come():
    workers = _free_ports(4)
    with _pool() as pool:
        early = [pool.submit(rendezvous.meet, workers, index, 20.0) for index in (3, 1, 0)]
        time.sleep(0.5)
        assert not any(each.done() for each in early)
        rendezvous.meet(workers, 2, 20.0)
        for each in early:
            each.result(timeout=5)
    for address in workers:  # The ports are free again, for TensorFlow.
        socket.create_server(rendezvous.split_address(address)).close()


def test_whom_a_worker_waits_for(caplog, monkeypatch):
    caplog.set_level("INFO", logger="absl")
    monkeypatch.setattr(rendezvous, "_QUIET", 0.3)
    workers = [*_free_ports(2), "no.such.host.invalid:5000"]
    with pytest.raises(TimeoutError) as caught:
        rendezvous.meet(workers, 1, 1.0)
    for text in (caplog.text, str(caught.value)):
        assert f"worker 0 ({workers[0]}: connection refused)" in text
        assert "worker 2 (no.such.host.invalid:5000: its name does not resolve)" in text
    assert str(caught.value).startswith("worker 1 of 3 has waited 1 s for worker 0")


def test_a_name_that_never_resolves(monkeypatch):
    monkeypatch.setattr(rendezvous, "_UNRESOLVED", 0.5)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no\.such\.host\.invalid:5000: its name does not resolve"):
        rendezvous.meet([*_free_ports(1), "no.such.host.invalid:5000"], 0)
    assert time.monotonic() - began < 20


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {port}, which TF_CONFIG gives to worker 1, cannot be used on this"):
            rendezvous.meet([*_free_ports(1), f"localhost:{port}"], 1)


def test_a_worker_that_is_killed_while_it_waits_has_to_come_again():
    workers = _free_ports(3)
    with _pool() as pool:
        first = pool.submit(rendezvous.meet, workers, 0, 20.0)
        with pytest.raises(TimeoutError):
            rendezvous.meet(workers, 1, 0.5)
        last = pool.submit(rendezvous.meet, workers, 2, 20.0)
        time.sleep(0.7)
        assert not first.done() and not last.done()
        rendezvous.meet(workers, 1, 20.0)
        first.result(timeout=5)
        last.result(timeout=5)


def test_a_worker_that_is_killed_before_it_has_called_is_called_again():
    workers = _free_ports(2)
    with _pool() as pool:
        with socket.create_server(("", int(workers[1].rpartition(":")[2]))) as early:
            first = pool.submit(rendezvous.meet, workers, 0, 20.0)
            caller, _ = early.accept()
            caller.close()
        rendezvous.meet(workers, 1, 20.0)
        first.result(timeout=5)


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"x" * 10_000, b"", b"xmcgan worker "])
def test_strangers_are_ignored(said):
    workers = _free_ports(2)
    with _pool() as pool:
        first = pool.submit(rendezvous.meet, workers, 0, 20.0)
        time.sleep(0.3)
        with socket.create_connection(rendezvous.split_address(workers[0])) as stranger:
            stranger.sendall(said)
            rendezvous.meet(workers, 1, 20.0)
            first.result(timeout=5)


def test_other_clusters_and_equal_indices_are_refused():
    workers = _free_ports(2)
    with _pool() as pool:
        first = pool.submit(rendezvous.meet, workers, 0, 20.0)
        time.sleep(0.3)
        with pytest.raises((ValueError, TimeoutError)):
            rendezvous.meet([workers[0], workers[1].replace("localhost", "127.0.0.1")], 1, 1.0)
        with pytest.raises(ValueError, match="worker 1 has another list of workers in its TF_CONFIG than worker 0"):
            first.result(timeout=5)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("host1:5000", ("host1", 5000)), ("[::1]:80", ("::1", 80)), ("10.0.0.1:65535", ("10.0.0.1", 65535))],
)
def test_addresses(address, expected):
    assert rendezvous.split_address(address) == expected
