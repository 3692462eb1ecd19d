"""Locks between processes: who waits for whom, in one container or in two, and on disks without locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from tests.support.processes import ROOT
from xmcgan import locks
from xmcgan.temporary_folders import remove_abandoned, temporary_folder

# Without TensorFlow, which takes seconds to import.
HOLD = """
import signal, sys
from xmcgan import locks
signal.signal(signal.SIGINT, signal.default_int_handler)  # It is ignored if the tests run in the background.
locks._QUIET = 0.0
with locks.locked(sys.argv[1]) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""
# Process numbers, and the name of the machine, as of another container.
CONTAINER = [
    "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--uts",
    "sh",
    "-c",
    'hostname other && exec "$0" "$@"',
]


def _start(folder, *prefix):
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", HOLD, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def _holder(folder, *prefix):
    process = _start(folder, *prefix)
    try:
        assert process.stdout.readline().strip() == str(folder), process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_one_process_at_a_time(tmp_path):
    folder = tmp_path / "new" / "folder"
    with _holder(folder) as first:
        second = _start(folder)
        assert f"waiting for process {first.pid} on {socket.gethostname()}" in second.stderr.readline()
        first.kill()  # The lock of a killed process is free at once.
        assert second.stdout.readline().strip() == str(folder)
        second.communicate("")
    with locks.locked(folder) as held:
        assert pathlib.Path(held) == folder


def test_a_new_folder_that_stays_empty_is_removed(tmp_path):
    with locks.locked(tmp_path / "new" / "folder"):
        pass
    assert os.listdir(tmp_path / "new") == []
    with locks.locked(tmp_path / "new"):  # It was there before.
        pass
    with locks.locked(tmp_path / "full") as folder:
        (folder / "a").touch()
    assert sorted(os.listdir(tmp_path)) == ["full", "new"]


def test_who_waits_gets_a_folder_that_the_first_one_removed(tmp_path):
    folder = tmp_path / "new"
    with _holder(folder) as first:
        second = _start(folder)
        second.stderr.readline()  # It waits.
        first.communicate("")
        assert second.stdout.readline().strip() == str(folder)
        assert folder.is_dir()
        second.communicate("")


def test_a_wait_can_be_ended(tmp_path):
    with _holder(tmp_path):
        second = _start(tmp_path)
        second.stderr.readline()
        second.send_signal(signal.SIGINT)
        _, errors = second.communicate(timeout=20)
        assert "KeyboardInterrupt" in errors


def test_a_lock_that_is_held_names_its_holder(tmp_path):
    path = tmp_path / "lock"
    locks.check_free(str(path))
    assert not path.exists()
    with locks.lock(str(path), wait=False) as descriptor:
        assert os.fstat(descriptor).st_ino == path.stat().st_ino
        for try_again in (lambda: locks.check_free(str(path)), lambda: locks.lock(str(path), wait=False).__enter__()):
            with pytest.raises(locks.InUseError, match=rf"lock is in use by process {os.getpid()} on .+ \(.+\), since"):
                try_again()
        with locks.abandoned(str(path)) as is_abandoned:
            assert not is_abandoned
    locks.check_free(str(path))
    assert not path.exists()


def test_a_note_is_shown_only_if_it_can_be(tmp_path):
    path = tmp_path / "lock"
    path.write_bytes(b"process 1 on \x1b[31mhost\xff\n" + b"x" * 100_000)
    assert locks.holder_of(str(path)).startswith("process 1 on [31mhost")
    assert len(locks.holder_of(str(path))) < 600
    path.unlink()
    path.symlink_to("/dev/zero")
    assert locks.holder_of(str(path)) == "another process"


def test_a_file_that_its_holder_removes_locks_the_next_one(tmp_path):
    path = str(tmp_path / "lock")
    with locks.lock(path) as first:
        waiting = os.open(path, os.O_RDWR)  # As another process that waits for this very file.
        assert os.fstat(first).st_ino == os.fstat(waiting).st_ino
    fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not os.path.exists(path)
    with locks.lock(path, wait=False):  # That file is no lock any more.
        assert os.path.exists(path)
    os.close(waiting)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks(number, tmp_path, monkeypatch, caplog):
    def flock(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr("absl.logging.log_first_n", _warn)
    with locks.locked(tmp_path), locks.locked(tmp_path):
        pass
    assert "has no locks" in caplog.text and "take care that no two processes work there" in caplog.text
    with pytest.raises(OSError), locks.abandoned(str(tmp_path / ".lock")):
        pass
    with temporary_folder(tmp_path, "held") as folder:
        assert remove_abandoned(tmp_path, "held") is None  # Nobody can tell.
        assert os.path.isdir(folder)


def _warn(level, message, count, *arguments):
    from absl import logging

    logging.log(level, message, *arguments)


def test_a_disk_that_does_not_pass_locks_on(tmp_path, caplog):
    """The kernel cannot tell, but the other machine's process has not released the lock: it was killed, or runs."""
    (tmp_path / ".lock").write_text("process 7 on elsewhere (xmcgan.train), since 10:00:00\n")
    with locks.locked(tmp_path):
        pass
    assert "process 7 on elsewhere (xmcgan.train), since 10:00:00, has not released it" in caplog.text
    caplog.clear()
    with locks.locked(tmp_path):
        pass
    assert not caplog.text


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError), locks.locked(tmp_path / "file"):
        pass


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("unshare"), reason="needs new namespaces")
def test_two_containers(tmp_path):
    """Both are process 1 of their container."""
    with _holder(tmp_path, *CONTAINER):
        assert locks.holder_of(str(tmp_path / ".lock")).startswith("process 1 on other")
        second = _start(tmp_path, *CONTAINER)
        assert "waiting for process 1 on other" in second.stderr.readline()
        second.kill()
        second.communicate()
