"""The reader of image files: what each oddity becomes, what is stored of it, and what is refused."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from data_pipelines import image_files
from data_pipelines.images import decode_image, stored_size

RNG = np.random.default_rng(0)
RGB = RNG.integers(256, size=(24, 37, 3), dtype=np.uint8)
GRAY = RGB[..., 0]
# Smooth, so that JPEG and lossy WebP change it little.
SMOOTH = np.stack(np.broadcast_arrays(np.arange(24)[:, None] * 5, np.arange(37) * 4, 90), -1).astype(np.uint8)


def encode(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def _over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255.0
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


PLAIN = {
    "jpeg": encode(RGB, "JPEG", quality=90),
    "gray jpeg": encode(GRAY, "JPEG"),
    "progressive jpeg": encode(RGB, "JPEG", progressive=True),
    "cmyk jpeg": encode(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
    "upright jpeg": encode(RGB, "JPEG", exif=with_orientation(1)),
    "jpeg of an unknown orientation": encode(RGB, "JPEG", exif=with_orientation(9)),
    "jpeg of a broken exif": encode(RGB, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff"),
    "mpo": encode(RGB, "MPO", save_all=True, append_images=[Image.fromarray(255 - RGB)]),
    "png": encode(RGB, "PNG"),
    "gray png": encode(GRAY, "PNG"),
    "black and white png": encode(Image.fromarray(GRAY > 99), "PNG"),
    "palette png": encode(Image.fromarray(RGB).quantize(16), "PNG"),
}


@pytest.mark.parametrize("content", PLAIN.values(), ids=PLAIN)
def test_plain_images_are_those_of_training_bit_for_bit(content):
    image = image_files.decode(content)
    assert image.changes == ()
    np.testing.assert_array_equal(image.rgb, decode_image(content))
    assert image_files.encoded_for_records(content) == (content, ())
    np.testing.assert_array_equal(stored_size(content), image.rgb.shape[:2])


def test_plain_images_are_what_pillow_decodes():
    for content in (encode(RGB, "JPEG", quality=90, subsampling=0), PLAIN["png"], PLAIN["palette png"]):
        expected = Image.open(io.BytesIO(content)).convert("RGB")
        np.testing.assert_array_equal(image_files.decode(content).rgb, expected)


@pytest.mark.parametrize("number", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_images_are_turned_upright(kind, number):
    """Against the meaning of the tag: at which side of the image its first row and first column are."""
    rows, columns = {
        2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"), 5: ("left", "top"),
        6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[number]  # fmt: skip
    upright = image_files.decode(encode(SMOOTH, "PNG")).rgb
    stored = upright if rows in ("top", "bottom") else upright.swapaxes(0, 1)
    stored = stored[::-1] if rows in ("bottom", "right") else stored
    stored = stored[:, ::-1] if columns in ("bottom", "right") else stored
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    image = image_files.decode(encode(np.ascontiguousarray(stored), kind, exif=with_orientation(number), **options))
    assert image.changes == ("turned upright",)
    assert image.rgb.shape == upright.shape
    assert np.abs(image.rgb.astype(int) - upright).max() <= (3 if kind == "JPEG" else 0)


def _palette_png(colors: int) -> bytes:
    image = Image.fromarray(RGB).quantize(colors)
    return encode(image, "PNG", transparency=bytes(range(0, 256, 256 // colors)))


def _expected_of_palette_png(colors: int) -> np.ndarray:
    return _over_white(np.asarray(Image.open(io.BytesIO(_palette_png(colors))).convert("RGBA"), float))


RGBA = np.dstack([RGB, RNG.integers(256, size=(24, 37), dtype=np.uint8)])
DEEP = GRAY.astype(np.uint16) * 256 + RGB[..., 1]
ODD = {
    "alpha": (encode(RGBA, "PNG"), _over_white(RGBA), ("transparency laid over white",)),
    "opaque alpha": (encode(np.dstack([RGB, np.full_like(GRAY, 255)]), "PNG"), RGB, ()),
    "gray with alpha": (
        encode(np.dstack([GRAY, RGBA[..., 3]]), "PNG"),
        _over_white(np.dstack([GRAY] * 3 + [RGBA[..., 3]])),
        ("transparency laid over white",),
    ),
    "a transparent color": (
        encode(GRAY, "PNG", transparency=int(GRAY[0, 0])),
        np.dstack([np.where(GRAY[0, 0] == GRAY, 255, GRAY)] * 3),
        ("transparency laid over white",),
    ),
    "palette with alpha": (
        _palette_png(16),
        _expected_of_palette_png(16),
        ("transparency laid over white",),
    ),
    "16 bits": (encode(DEEP, "PNG"), np.dstack([GRAY] * 3), ("16 bits reduced to 8",)),
    "16 bits with a transparent level": (
        encode(DEEP, "PNG", transparency=int(DEEP[0, 0])),
        np.dstack([np.where(DEEP[0, 0] == DEEP, 255, GRAY)] * 3),
        ("16 bits reduced to 8", "transparency laid over white"),
    ),
    "16 bits in a tiff": (encode(DEEP, "TIFF"), np.dstack([GRAY] * 3), ("16 bits reduced to 8",)),
    "bmp": (encode(RGB, "BMP"), RGB, ()),
    "gray bmp": (encode(GRAY, "BMP"), np.dstack([GRAY] * 3), ()),
    "palette bmp": (
        encode(Image.fromarray(RGB).quantize(16), "BMP"),
        np.asarray(Image.fromarray(RGB).quantize(16).convert("RGB")),
        ("palette expanded",),
    ),
    "black and white bmp": (
        encode(Image.fromarray(GRAY > 99), "BMP"),
        np.dstack([np.where(GRAY > 99, 255, 0)] * 3),
        (),
    ),
    "webp": (encode(RGB, "WEBP", lossless=True), RGB, ()),
    "tiff": (encode(RGB, "TIFF"), RGB, ()),
    "cmyk tiff": (
        encode(Image.fromarray(RGB).convert("CMYK"), "TIFF"),
        np.asarray(Image.fromarray(RGB).convert("CMYK").convert("RGB")),
        (),
    ),
    "several pages": (
        encode(RGB, "TIFF", save_all=True, append_images=[Image.fromarray(255 - RGB)]),
        RGB,
        ("first of several frames",),
    ),
    "animation": (
        encode(Image.fromarray(GRAY), "GIF", save_all=True, append_images=[Image.fromarray(255 - GRAY)]),
        np.dstack([GRAY] * 3),
        ("first of several frames",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("content, expected, changes", ODD.values(), ids=ODD)
def test_odd_images_follow_one_rule_each(content, expected, changes):
    image = image_files.decode(content)
    assert image.rgb.dtype == np.uint8
    assert np.abs(image.rgb - expected).max() <= 1, "rounding"
    assert image.changes == changes
    stored = image_files.encoded_for_records(content)
    np.testing.assert_array_equal(decode_image(stored.content), image.rgb)
    np.testing.assert_array_equal(stored_size(stored.content), image.rgb.shape[:2])
    assert (stored.content == content) == (stored.changes == ())


def test_what_was_lossy_is_stored_as_jpeg():
    turned = encode(SMOOTH, "JPEG", quality=90, exif=with_orientation(6))
    for content, changes in (
        (turned, ("turned upright",)),
        (encode(SMOOTH, "WEBP", quality=90), ("WEBP stored as JPEG",)),
    ):
        stored = image_files.encoded_for_records(content)
        assert stored.content.startswith(b"\xff\xd8") and stored.changes == changes
        difference = decode_image(stored.content).numpy().astype(int) - image_files.decode(content).rgb
        assert np.abs(difference).mean() < 1
        assert image_files.encoded_for_records(stored.content) == (stored.content, ()), "once is enough"
    lossless = image_files.encoded_for_records(encode(SMOOTH, "WEBP", lossless=True))
    assert lossless.changes == ("WEBP stored as PNG",)


def _png_of_size(width: int, height: int) -> bytes:
    """A PNG file whose header lies about its size."""
    head = b"IHDR" + struct.pack(">II", width, height) + PLAIN["png"][24:29]
    return PLAIN["png"][:12] + head + struct.pack(">I", zlib.crc32(head)) + PLAIN["png"][33:]


def _wrong_checksum(png: bytes) -> bytes:
    """Returns a PNG file whose last chunk of pixels has another sum than it says; the empty end chunk has 12 bytes."""
    return png[:-16] + bytes(4) + png[-12:]


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "empty image"),
        (b"no image", "unknown or damaged format"),
        (encode(RGB, "PPM"), "unknown or damaged format"),
        (PLAIN["png"][:-600], "damaged PNG"),
        (encode(RGBA, "PNG")[:-600], "damaged PNG"),
        (encode(RGBA, "PNG").replace(b"IDAT\x78", b"IDAT\x00"), "damaged PNG"),
        (_wrong_checksum(PLAIN["png"]), "damaged PNG"),
        (_wrong_checksum(ODD["opaque alpha"][0]), "damaged PNG"),  # Pillow would read it, TensorFlow would not.
        (encode(RGB, "BMP")[:-600], "damaged BMP"),
        (encode(Image.fromarray(GRAY), "GIF")[:-300], "damaged GIF"),
        (encode(RGB, "TIFF")[:-600], "damaged TIFF"),
        (encode(RGB, "WEBP", lossless=True)[:-300], "unknown or damaged format"),
        (PLAIN["jpeg"][:-300], "truncated JPEG"),
        (encode(Image.fromarray(GRAY.astype(np.float32)), "TIFF"), "levels of 32 bits"),
        (_png_of_size(20_000, 10_000), "image too large"),
        (_png_of_size(10_001, 10_000), "image too large"),
        (_png_of_size(0, 10), "unknown or damaged format"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_used_is_refused_for_a_reason(content, reason, tmp_path):
    for use in (image_files.decode, image_files.encoded_for_records):
        with pytest.raises(ValueError) as error:
            use(content)
        assert str(error.value) == reason
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(ValueError) as error:
        image_files.read(tmp_path / "b.png")
    assert str(error.value) == f"{tmp_path}/b.png cannot be used ({reason}): replace it, or leave it out"


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("pipe.png", "", "/dev/zero"):
        with pytest.raises(ValueError, match=r"^unreadable image$"):
            image_files.read_bytes(tmp_path / name)
    with pytest.raises(ValueError, match=r"^missing image$"):
        image_files.read_bytes(tmp_path / "nowhere.jpg")
    (tmp_path / "a.png").write_bytes(PLAIN["png"])
    (tmp_path / "link.png").symlink_to("a.png")
    for kind in (str, epath.Path):
        assert image_files.read_bytes(kind(tmp_path / "link.png")) == PLAIN["png"]
    monkeypatch.setattr(image_files, "MAX_BYTES", len(PLAIN["png"]) - 1)
    with pytest.raises(ValueError, match=r"^image too large$"):
        image_files.read_bytes(tmp_path / "a.png")


def test_files_in_a_bucket(monkeypatch):
    bucket = "gs://bucket/image.jpg"
    for error, reason in [(tf.errors.NotFoundError, "missing"), (tf.errors.PermissionDeniedError, "unreadable")]:

        def stat(self, error=error):
            raise error(None, None, str(self))

        monkeypatch.setattr(type(epath.Path(bucket)), "stat", stat)
        with pytest.raises(ValueError, match=rf"^{reason} image$"):
            image_files.read_bytes(bucket)


def test_names_that_are_not_utf8_are_read_and_shown(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9\x1b[31m.png")
    with open(path, "wb") as file:
        file.write(PLAIN["png"])
    np.testing.assert_array_equal(image_files.read(os.fsdecode(path)).rgb, RGB)
    with open(path, "wb") as file:
        file.write(b"no image")
    with pytest.raises(ValueError, match=r"/caf\\xe9\\x1b\[31m\.png cannot be used"):
        image_files.read(os.fsdecode(path))


@pytest.mark.parametrize("name", ["a.jpg", "b/c d.jpg", "é..jpg", "...jpg"])
def test_names_within_a_folder(name):
    assert image_files.stays_within(name)


@pytest.mark.parametrize("name", ["", "/etc/a.jpg", "../a.jpg", "b/../../a.jpg", "..", "b\\..\\..\\a.jpg", "a\0.jpg"])
def test_names_that_lead_elsewhere(name):
    assert not image_files.stays_within(name)
