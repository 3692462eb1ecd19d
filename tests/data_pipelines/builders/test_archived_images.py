"""Images out of archives, whole and broken."""

from __future__ import annotations

import gzip
import io
import pathlib
import tarfile

import PIL.Image
import pytest

from data_pipelines import image_files
from data_pipelines.builders import archived_images


def _jpeg(shade: int) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.effect_noise((64, 64), shade).save(buffer, "jpeg")
    return buffer.getvalue()


JPEGS = {f"{number}.jpg": _jpeg(20 * number) for number in range(1, 9)}


def _archive(path: pathlib.Path, members: dict[str, bytes], mode: str) -> pathlib.Path:
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def _read(archive: pathlib.Path, names: list[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Images, and reasons, by name; each must come once."""
    fit, unfit = {}, {}
    for name, read in archived_images.read_archive(str(archive), {name: name for name in names}):
        assert name not in fit and name not in unfit
        try:
            fit[name] = read().content
        except ValueError as error:
            unfit[name] = str(error)
    assert {*fit, *unfit} == set(names)
    return fit, unfit


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("folder", ["", "train_0/", "./train_0/"])
def test_all_images_come_out_wherever_they_lie(tmp_path, mode, folder):
    archive = _archive(tmp_path / "a", {f"{folder}{name}": jpeg for name, jpeg in JPEGS.items()}, mode)
    assert _read(archive, list(JPEGS)) == (JPEGS, {})


def test_what_is_not_wanted_or_not_there(tmp_path):
    archive = _archive(tmp_path / "a", {**JPEGS, "x/1.jpg": b"another 1.jpg"}, "w")
    assert _read(archive, ["1.jpg", "9.jpg"]) == ({"1.jpg": JPEGS["1.jpg"]}, {"9.jpg": "missing image"})


def test_a_large_member_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_BYTES", max(map(len, JPEGS.values())))
    archive = _archive(tmp_path / "a", {"0.jpg": bytes(image_files.MAX_BYTES + 1), **JPEGS}, "w:gz")
    assert _read(archive, ["0.jpg", *JPEGS]) == (JPEGS, {"0.jpg": "image too large"})


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_wherever_an_archive_is_cut_no_image_is_lost_in_silence(tmp_path, mode):
    content = _archive(tmp_path / "a", JPEGS, mode).read_bytes()
    seen = set()
    for length in range(0, len(content) - 1, 397):
        (tmp_path / "a").write_bytes(content[:length])
        fit, unfit = _read(tmp_path / "a", list(JPEGS))
        assert fit == {name: JPEGS[name] for name in fit}, length
        seen.update(unfit.values())
    assert seen == {"damaged archive a"}


def test_damage_within_a_compressed_archive(tmp_path):
    path = _archive(tmp_path / "a", JPEGS, "w:gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(content)
    fit, unfit = _read(path, list(JPEGS))
    assert fit and unfit
    assert all(jpeg == JPEGS[name] for name, jpeg in fit.items())


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>not found</html>", gzip.compress(b"no archive"), None],
    ids=["empty", "a web page", "another gzip", "missing"],  # gzip notes the time: no name that two workers share.
)
def test_what_is_no_archive(tmp_path, content):
    if content is not None:
        (tmp_path / "a").write_bytes(content)
    assert _read(tmp_path / "a", ["1.jpg"]) == ({}, {"1.jpg": "damaged archive a"})


def _header(**fields) -> bytes:
    header = tarfile.TarInfo("x")
    for name, value in fields.items():
        setattr(header, name, value)
    return header.tobuf(tarfile.GNU_FORMAT)


def _pax_sparse() -> bytes:
    """A sparse file of version 1.0, whose map says that it has a billion entries."""
    header = tarfile.TarInfo("1.jpg")
    header.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    content = b"1000000000\n" + b"0\n" * 250
    header.size = len(content)
    return header.tobuf(tarfile.PAX_FORMAT) + content.ljust(512, b"\0")


@pytest.mark.parametrize(
    "odd",
    [
        _header(type=tarfile.GNUTYPE_SPARSE, size=10),
        _pax_sparse(),
        _header(type=tarfile.GNUTYPE_LONGNAME, size=0) * 5_000,
        _header(type=tarfile.GNUTYPE_LONGNAME, size=1 << 33),
        _header(type=tarfile.XHDTYPE, size=1 << 33),
        _header(size=-1024),
        b"\x01" * 512,
    ],
    ids=["sparse", "pax sparse", "many long names", "a long name", "a large attribute", "negative", "no header"],
)
def test_odd_headers_are_damage_and_what_came_before_is_kept(tmp_path, odd):
    whole = _archive(tmp_path / "whole", {"2.jpg": JPEGS["2.jpg"]}, "w").read_bytes().rstrip(b"\0")
    whole += bytes(-len(whole) % 512)
    rest = _archive(tmp_path / "rest", {"1.jpg": JPEGS["1.jpg"]}, "w").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole + odd + rest)
    assert _read(tmp_path / "a.tar", ["1.jpg", "2.jpg"]) == (
        {"2.jpg": JPEGS["2.jpg"]},
        {"1.jpg": "damaged archive a.tar"},
    )
