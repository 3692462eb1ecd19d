"""Files and folders that are whole or not there, and room on the disk."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

from tests.support.processes import ROOT
from xmcgan import files

HALF = """
import os, signal, sys
from xmcgan import files
with files.replaced(sys.argv[1]) as file:
    file.write("half")
    file.flush()
    print(os.listdir(os.path.dirname(sys.argv[1])), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("mode", "content"), [("w", "naïve\n"), ("wb", b"\x00\xff")])
def test_a_file_is_replaced_at_the_end(tmp_path, mode, content):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replaced(path, mode) as file:
        file.write(content)
        file.flush()
        assert path.read_text() == "old"
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_bytes() == (content if mode == "wb" else content.encode("utf-8"))
    assert os.listdir(tmp_path) == ["a.txt"]
    assert oct(path.stat().st_mode & 0o777) == oct(0o666 & ~_umask())  # As of any file.


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), files.replaced(path) as file:
        file.write("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_that_is_missing_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.write_text(tmp_path / "gone" / "a.txt", "new")
    assert not os.listdir(tmp_path)


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    killed = subprocess.run([sys.executable, "-c", HALF, path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert ".incomplete" in killed.stdout
    assert path.read_text() == "old"
    (left,) = set(os.listdir(tmp_path)) - {"a.txt"}
    assert left in killed.stdout
    files.remove_temporary(tmp_path)
    assert os.listdir(tmp_path) == ["a.txt"]


def test_two_writers_of_a_file_do_not_mix(tmp_path):
    """Neither do two containers with the same process numbers."""
    path = tmp_path / "a.txt"
    with files.replaced(path) as one:
        one.write("one")
        files.write_text(path, "other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"


@pytest.mark.parametrize("name", ["a[b]", "a*", "?", "{a,b}"])
def test_the_path_of_a_folder_is_no_pattern(name, tmp_path):
    folder = tmp_path / name
    assert files.matching(folder, "*") == []
    folder.mkdir()
    for file in ("2.txt", "1.txt", "1.png"):
        (folder / file).touch()
    assert [path.name for path in files.matching(folder, "*.txt")] == ["1.txt", "2.txt"]


def test_a_bucket(monkeypatch):
    """As of TensorFlow's file systems another one, in memory, stands in for the buckets."""
    gfile = tf.io.gfile
    for name in ("GFile", "rename", "remove"):
        call = getattr(gfile, name)
        monkeypatch.setattr(gfile, name, lambda *paths, call=call, **options: call(*map(_in_memory, paths), **options))
    path = "gs://bucket/a.txt"
    files.write_text(path, "old")
    with files.replaced(path, "wb") as file:
        file.write(b"new")
    with pytest.raises(ValueError, match="half"), files.replaced(path) as file:
        file.write("half")
        raise ValueError("half")
    assert gfile.GFile(path, "r").read() == "new"
    assert gfile.listdir("ram://bucket") == ["a.txt"]
    files.check_room("gs://bucket/folder", 1e30, "try")


def _in_memory(path: str) -> str:
    return path.replace("gs://", "ram://")


def test_a_new_folder_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "folder"
    (tmp_path / "new" / "folder.incomplete.0123abcd" / "left").mkdir(parents=True)  # By a killed process.
    with files.new_folder(path) as folder:
        assert not os.listdir(folder)
        (folder / "a").touch()
        assert not path.exists()
    assert os.listdir(path.parent) == ["folder"]
    assert os.listdir(path) == ["a"]
    with pytest.raises(FileExistsError, match="exists and is not empty"), files.new_folder(path):
        pass


def test_a_new_folder_has_one_writer(tmp_path):
    path = tmp_path / "folder"
    with files.new_folder(path) as folder:
        with (
            pytest.raises(FileExistsError, match=r"process \d+ on .+, is writing .+folder: wait"),
            files.new_folder(path),
        ):
            pass
        (folder / "a").touch()
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(path) == ["a"]


def test_a_new_folder_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="half"), files.new_folder(tmp_path / "folder") as folder:
        (folder / "a").touch()
        raise ValueError("half")
    assert not os.listdir(tmp_path)


def test_whether_a_folder_can_be_written_to(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    for path in (tmp_path, tmp_path / "a" / "b"):
        files.check_writable(path)
    files.check_writable("gs://bucket/a")
    with pytest.raises(OSError, match=r"/file is a file: name another folder$"):
        files.check_writable(tmp_path / "file")
    with pytest.raises(OSError, match=r"/file is a file, so there can be no folder .*/file/a/b: name another"):
        files.check_writable(tmp_path / "file" / "a" / "b")
    with pytest.raises(OSError, match=r"/circle is a link that leads nowhere: name another folder$"):
        files.check_writable(tmp_path / "circle")
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)  # As on a read-only disk.
    with pytest.raises(OSError, match=rf"^{tmp_path} cannot be written to: name another folder$"):
        files.check_writable(tmp_path / "a" / "b")
    assert sorted(os.listdir(tmp_path)) == ["circle", "file"]


def test_a_full_disk_is_named(tmp_path):
    with pytest.raises(OSError) as error, files.replaced(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")  # As `write` does.
    assert error.value.filename == str(tmp_path / "a.txt")
    with pytest.raises(OSError) as error, files.new_folder(tmp_path / "folder"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(tmp_path / "folder")
    with pytest.raises(OSError, match="File name too long"):
        files.check_writable(tmp_path / ("x" * 300))


def test_room_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**9))
    files.check_room(tmp_path / "not" / "there", 0.9e9, "try")
    with pytest.raises(OSError, match=r"not/there has 1\.0 GB free, and 1\.1 GB are needed to try: free some space"):
        files.check_room(tmp_path / "not" / "there", 1.1e9, "try")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(65_536, 65_536, 0))
    with pytest.raises(OSError, match=r"has 0\.00 MB free, and 0\.07 MB are needed to try"):
        files.check_room(tmp_path, 70_000, "try")
