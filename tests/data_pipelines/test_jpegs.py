"""Unfit images are told from fit ones, whatever the place they are cut or damaged at."""

from __future__ import annotations

import io
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipelines import image_files, jpegs

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


def _check(data: bytes) -> None:
    image_files.encoded_for_records(data)


def _reason(data: bytes) -> str:
    with pytest.raises(ValueError) as error:
        _check(data)
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
def test_fit_images_come_back_byte_for_byte(options):
    assert image_files.encoded_for_records(_encode(**options)) == (_encode(**options), ())


def test_harmless_oddities_pass():
    _check(_encode() + b"appended \xff\xda by a camera")
    _check(_padded(_encode(), _END, bytes(8)))
    for restart in range(0xD0, 0xD8):
        _check(_padded(_encode(restart_marker_blocks=1), bytes([0xFF, restart]), bytes(8)))
    # A marker may be led by any number of FFs.
    _check(_encode().replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, _RARE_SAMPLING], ids=str)
def test_no_cut_passes(options):
    # The thumbnail brings an end marker of its own, which must not be taken for the image's.
    data = _encode(**options, exif=b"Exif\x00\x00" + _encode(size=16))
    last = [] if options is _RARE_SAMPLING else [len(data) - 2, len(data) - 1]  # All rows are there, and decode.
    reasons = [_reason(data[:length]) for length in [*range(1, len(data) - 64, 61), *last]]
    assert reasons[0] == "unknown or damaged format"
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
    assert _reason(_encode()[:-2]) == "truncated JPEG"
    assert _reason(b"\xff\xd8") == "truncated JPEG"
    assert _reason(b"\xff\xd8" + _END) == "corrupt JPEG"
    assert _reason(b"\xff\xd8\xff\xda" + _END) == "corrupt JPEG"
    assert _reason(_padded(_encode(), _END, bytes(100))) == "corrupt JPEG"
    for size in [(0, 0), (0, _SIZE), (_SIZE, 0)]:
        assert _reason(_with_size(*size)) == "image of 0 pixels"


def test_too_large_images_are_refused_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(jpegs, "MAX_PIXELS", _SIZE**2)
    _check(_encode())
    monkeypatch.setattr(jpegs, "MAX_PIXELS", _SIZE**2 - 1)
    assert _reason(_encode()) == "image too large"
    monkeypatch.undo()

    def allocate(*args, **kwargs):
        pytest.fail("12 GB were to be allocated")

    monkeypatch.setattr(jpegs.simplejpeg, "decode_jpeg", allocate)
    monkeypatch.setattr(jpegs.tf.io, "decode_jpeg", allocate)
    assert _reason(_with_size(65_000, 65_000)) == "image too large"


def _with_scans(count: int) -> bytes:
    """A progressive image of which the last scan comes again and again."""
    data = _encode(progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (count - data.count(b"\xff\xda")) + _END


def test_progressive_images_of_many_scans_are_refused_before_they_are_decoded(monkeypatch):
    assert _reason(_with_scans(jpegs.MAX_SCANS)) == "corrupt JPEG"
    monkeypatch.setattr(jpegs.simplejpeg, "decode_jpeg", None)
    assert _reason(_with_scans(jpegs.MAX_SCANS + 1)) == "JPEG of more than 50 scans"
    assert _reason(b"\xff\xd8" + b"\xff\x01" * 1_000_000) == "corrupt JPEG"  # Markers without end.


def test_threads_agree():
    data = _encode(size=128)
    kinds = [data, data[:-900], data[:4000] + bytes(3000) + data[7000:], _encode("CMYK"), b""] * 20

    def verdict(data: bytes) -> str | None:
        try:
            _check(data)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(8) as executor:
        verdicts = list(executor.map(verdict, kinds))
    assert verdicts == [None, "truncated JPEG", "corrupt JPEG", None, "empty image"] * 20
