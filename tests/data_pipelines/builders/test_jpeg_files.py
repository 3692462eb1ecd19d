"""Unfit images are told from fit ones, whatever the place they are cut or damaged at."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from data_pipelines.builders import jpeg_files

_END = b"\xff\xd9"
_SIZE = 48
# CMYK whose chroma is halved: the strict decoder does not know this sampling.
_RARE_SAMPLING = {"mode": "CMYK", "subsampling": 2}


def _encode(mode: str = "RGB", size: int = _SIZE, **options) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, options.pop("format", "JPEG"), **options)
    return buffer.getvalue()


def _with_size(height: int, width: int) -> bytes:
    """An image whose header lies about its size."""
    data, frame = bytearray(_encode()), _encode().index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def _padded(data: bytes, marker: bytes, padding: bytes) -> bytes:
    before, after = data.rsplit(marker, 1)
    return before + padding + marker + after


def _reason(data: bytes) -> str:
    with pytest.raises(ValueError) as error:
        jpeg_files.check_jpeg(data)
    return str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "L"},
        {"mode": "CMYK"},
        _RARE_SAMPLING,
        {"progressive": True},
        {"subsampling": "4:2:2"},
        {"restart_marker_blocks": 1},
        {"qtables": [[1000] * 64] * 2},  # Tables of 16 bits.
        {"comment": b"\xff\xd8\xff\xc0\x00\x00\xff\xda"},  # Markers that are none.
        {"size": 1},
        {"size": 17},
    ],
    ids=str,
)
def test_fit_images_come_back_byte_for_byte(tmp_path, options):
    path = tmp_path / "image.jpg"
    path.write_bytes(_encode(**options))
    for kind in (str, epath.Path, type(path)):
        assert jpeg_files.read_jpeg(kind(path)) == _encode(**options)


def test_harmless_oddities_pass():
    jpeg_files.check_jpeg(_encode() + b"appended \xff\xda by a camera")
    jpeg_files.check_jpeg(_padded(_encode(), _END, bytes(8)))
    for restart in range(0xD0, 0xD8):
        jpeg_files.check_jpeg(_padded(_encode(restart_marker_blocks=1), bytes([0xFF, restart]), bytes(8)))
    # A marker may be led by any number of FFs.
    jpeg_files.check_jpeg(_encode().replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, _RARE_SAMPLING], ids=str)
def test_no_cut_passes(options):
    # The thumbnail brings an end marker of its own, which must not be taken for the image's.
    data = _encode(**options, exif=b"Exif\x00\x00" + _encode(size=16))
    last = [] if options is _RARE_SAMPLING else [len(data) - 2, len(data) - 1]  # All rows are there, and decode.
    reasons = [_reason(data[:length]) for length in [*range(1, len(data) - 64, 61), *last]]
    assert reasons[0] == "not a JPEG"
    assert set(reasons[1:]) <= {"truncated JPEG", "corrupt JPEG"}
    if last:
        assert reasons[-2:] == ["truncated JPEG"] * 2


# Zeros in a refining scan of a progressive image mean "nothing to refine": no decoder can tell that they are wrong.
@pytest.mark.parametrize("progressive, zeroed", [(False, False), (False, True), (True, False)])
def test_damage_that_other_decoders_paint_over(progressive, zeroed):
    data = _encode(size=128, progressive=progressive)
    markers = [match.start() for match in re.finditer(rb"\xff[\xc0-\xff]", data)]
    first, last = max(zip(markers, markers[1:]), key=lambda pair: pair[1] - pair[0])  # The longest scan.
    length = (last - first) // 4
    for start in np.linspace(first + 64, last - length - 64, 6, dtype=int):
        damaged = data[:start] + bytes(length * zeroed) + data[start + length :]
        assert np.shape(Image.open(io.BytesIO(damaged)).convert("RGB")) == (128, 128, 3)
        assert tf.io.decode_jpeg(damaged, channels=3, try_recover_truncated=False).shape == (128, 128, 3)
        assert _reason(damaged) == "corrupt JPEG"


def test_reasons():
    assert _reason(b"") == "empty image"
    assert _reason(_encode(format="PNG")) == "not a JPEG"
    assert _reason(_encode(format="GIF")) == "not a JPEG"
    assert _reason(_encode()[:-2]) == "truncated JPEG"
    assert _reason(b"\xff\xd8") == "truncated JPEG"
    assert _reason(b"\xff\xd8" + _END) == "corrupt JPEG"
    assert _reason(b"\xff\xd8\xff\xda" + _END) == "corrupt JPEG"
    assert _reason(_padded(_encode(), _END, bytes(100))) == "corrupt JPEG"
    for size in [(0, 0), (0, _SIZE), (_SIZE, 0)]:
        assert _reason(_with_size(*size)) == "image of 0 pixels"


def test_too_large_images_are_refused_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(jpeg_files, "MAX_PIXELS", _SIZE**2)
    jpeg_files.check_jpeg(_encode())
    monkeypatch.setattr(jpeg_files, "MAX_PIXELS", _SIZE**2 - 1)
    assert _reason(_encode()) == "image too large"
    monkeypatch.undo()

    def allocate(*args, **kwargs):
        pytest.fail("12 GB were to be allocated")

    monkeypatch.setattr(jpeg_files.simplejpeg, "decode_jpeg", allocate)
    monkeypatch.setattr(jpeg_files.tf.io, "decode_jpeg", allocate)
    assert _reason(_with_size(65_000, 65_000)) == "image too large"


def test_images_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"^missing image$"):
        jpeg_files.read_jpeg(tmp_path / "nowhere.jpg")
    with pytest.raises(ValueError, match=r"^unreadable image$"):
        jpeg_files.read_jpeg(tmp_path)
    bucket = "gs://bucket/image.jpg"
    for error, reason in [(tf.errors.NotFoundError, "missing"), (tf.errors.PermissionDeniedError, "unreadable")]:

        def read_bytes(self, error=error):
            raise error(None, None, str(self))

        monkeypatch.setattr(type(epath.Path(bucket)), "read_bytes", read_bytes)
        with pytest.raises(ValueError, match=rf"^{reason} image$"):
            jpeg_files.read_jpeg(bucket)


def test_threads_agree():
    data = _encode(size=128)
    kinds = [data, data[:-900], data[:4000] + bytes(3000) + data[7000:], _encode("CMYK"), b""] * 20

    def verdict(data: bytes) -> str | None:
        try:
            jpeg_files.check_jpeg(data)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(8) as executor:
        verdicts = list(executor.map(verdict, kinds))
    assert verdicts == [None, "truncated JPEG", "corrupt JPEG", None, "empty image"] * 20
