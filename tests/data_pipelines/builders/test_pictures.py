"""Unfit pictures are told from fit ones, whatever the place they are cut at."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from data_pipelines.builders import pictures


def _encode(mode: str = "RGB", size: int = 48, **options) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, options.pop("format", "JPEG"), **options)
    return buffer.getvalue()


def _reason(path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ValueError) as error:
        pictures.read_jpeg(path)
    return str(error.value)


@pytest.mark.parametrize("options", [{}, {"mode": "L"}, {"mode": "CMYK"}, {"progressive": True}, {"size": 1}])
def test_fit_pictures_come_back_byte_for_byte(tmp_path, options):
    path = tmp_path / "picture.jpg"
    path.write_bytes(_encode(**options))
    assert pictures.read_jpeg(path) == _encode(**options)


@pytest.mark.parametrize("progressive", [False, True])
def test_no_cut_passes(tmp_path, progressive):
    # The thumbnail brings an end marker of its own, which must not be taken for the picture's.
    exif = b"Exif\x00\x00" + _encode(size=16)
    data = _encode(progressive=progressive, exif=exif)
    for length in [*range(1, len(data), 97), len(data) - 2, len(data) - 1]:
        assert _reason(tmp_path / "cut.jpg", data[:length]) in ("truncated JPEG", "corrupt JPEG", "not a JPEG")


def test_reasons(tmp_path):
    path = tmp_path / "picture.jpg"
    assert _reason(path, b"") == "empty picture"
    assert _reason(path, _encode(format="PNG")) == "not a JPEG"
    assert _reason(path, _encode()[:-2]) == "truncated JPEG"
    assert _reason(path, b"\xff\xd8\xff\xda\xff\xd9") == "corrupt JPEG"
    with pytest.raises(ValueError, match="missing picture"):
        pictures.read_jpeg(tmp_path / "nowhere.jpg")
