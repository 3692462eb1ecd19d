from __future__ import annotations

import pathlib
import shutil
import types
import zipfile

import pytest

from data_pipelines.fetching import archives


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("train/1.jpg", b"one")
        file.writestr("train/2.jpg", b"two")
        file.writestr("notes/a.json", b"{}")
    return path


def _contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _unpack(archive, tmp_path) -> dict[str, bytes]:
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    archives.unpack(archive, folder, tmp_path / "aside")
    assert not (tmp_path / "aside").exists()
    return _contents(folder)


def test_unpacks(archive, tmp_path):
    assert _unpack(archive, tmp_path) == {"train/1.jpg": b"one", "train/2.jpg": b"two", "notes/a.json": b"{}"}


def test_adds_to_what_is_there(archive, tmp_path):
    (tmp_path / "source" / "train").mkdir(parents=True)
    (tmp_path / "source" / "train" / "1.jpg").write_bytes(b"half")
    (tmp_path / "source" / "train" / "9.jpg").write_bytes(b"nine")
    found = _unpack(archive, tmp_path)
    assert found["train/1.jpg"] == b"one"
    assert found["train/2.jpg"] == b"two"
    assert found["train/9.jpg"] == b"nine"


def test_forgets_what_a_stopped_run_left(archive, tmp_path):
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "rest").write_bytes(b"")
    assert "rest" not in _unpack(archive, tmp_path)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:\\evil", "..\\evil"])
def test_refuses_paths_that_lead_out(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("fine", b"")
        file.writestr(name, b"evil")
    with pytest.raises(ValueError, match="leads out of its folder"):
        _unpack(tmp_path / "evil.zip", tmp_path)
    assert not _contents(tmp_path / "source")
    assert not (tmp_path / "evil").exists()


def test_refuses_links(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr(link, "/etc")
    with pytest.raises(ValueError, match="leads out of its folder"):
        _unpack(tmp_path / "evil.zip", tmp_path)


def test_moves_nothing_of_a_damaged_archive(archive, tmp_path):
    content = bytearray(archive.read_bytes())
    content[content.index(b"two")] ^= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.zip is damaged \(.*\): delete it"):
        _unpack(archive, tmp_path)
    assert not _contents(tmp_path / "source")


def test_looks_for_room_first(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=4))
    with pytest.raises(OSError, match=r"source has [\d.]+ MB free, and [\d.]+ MB are needed to unpack images\.zip"):
        _unpack(archive, tmp_path)


def _with_field(archive: pathlib.Path, offset: int, value: int) -> None:
    """Changes a field of 16 bits in the header of the first member, and in its copy in the archive's directory."""
    content = bytearray(archive.read_bytes())
    for start in (content.index(b"PK\x03\x04") + offset, content.index(b"PK\x01\x02") + offset + 2):
        content[start : start + 2] = value.to_bytes(2, "little")
    archive.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        lambda archive: _with_field(archive, 6, 1),
        lambda archive: _with_field(archive, 8, 99),
        lambda archive: _with_field(archive, 8, zipfile.ZIP_DEFLATED),
        lambda archive: _with_field(archive, 8, zipfile.ZIP_BZIP2),
        lambda archive: _with_field(archive, 8, zipfile.ZIP_LZMA),
        lambda archive: archive.write_bytes(archive.read_bytes()[:-30]),
        lambda archive: archive.write_bytes(b""),
    ],
    ids=["encrypted", "unknown method", "deflate", "bzip2", "lzma", "cut off", "empty"],
)
def test_whatever_is_odd_is_damage_of_this_archive(archive, tmp_path, harm):
    harm(archive)
    with pytest.raises(ValueError, match=r"images\.zip is damaged \(.*\): delete it") as error:
        _unpack(archive, tmp_path)
    assert "\n" not in str(error.value)
    assert not _contents(tmp_path / "source")


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b", "a"], ["x" * 300]], ids=["file first", "folder first", "long"])
def test_names_that_no_disk_can_hold_are_damage(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as file:
        for name in names:
            file.writestr(name, b"")
    with pytest.raises(ValueError, match=r"images\.zip is damaged"):
        _unpack(tmp_path / "images.zip", tmp_path)


def test_an_entry_for_the_folder_itself_does_no_harm(archive, tmp_path):
    expected = _unpack(archive, tmp_path)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("./", b"")
    assert _unpack(archive, tmp_path) == expected
