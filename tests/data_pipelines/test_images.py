"""The one way from image files to pixels, against Pillow's decoder and against the definition of bilinear sampling."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipelines.images import decode_image, resize_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(256, size=(37, 53, 3), dtype=np.uint8)


def _file(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_is_decoded_exactly(mode):
    # Without subsampling of the colors, whose upsampling is left open, the exact transform leaves nothing to choose.
    content = _file(Image.fromarray(RGB).convert(mode), "JPEG", quality=90, subsampling=0)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(content), expected)
    assert np.any(tf.io.decode_jpeg(content, channels=3) != expected), "the default is another"


@pytest.mark.parametrize(
    "kind, image",
    [
        ("PNG", Image.fromarray(RGB)),
        ("BMP", Image.fromarray(RGB)),
        ("PNG", Image.fromarray(RGB[..., 0])),
        ("PNG", Image.fromarray(RGB).quantize(16)),
        ("GIF", Image.fromarray(RGB).quantize(16)),
        ("PNG", Image.fromarray(np.dstack([RGB, RGB[..., :1]]))),
    ],
    ids=["png", "bmp", "gray", "palette", "gif", "transparent"],
)
def test_other_files_come_as_rgb(kind, image):
    expected = np.asarray(image.convert("RGBA"))[..., :3]
    np.testing.assert_array_equal(decode_image(_file(image, kind)), expected)


def test_sixteen_bits_become_eight():
    deep = RGB[..., 0].astype(np.uint16) * 256 + RGB[..., 1]
    decoded = decode_image(_file(Image.fromarray(deep), "PNG"))
    np.testing.assert_array_equal(decoded, np.repeat(RGB[..., :1], 3, axis=-1))


def test_an_orientation_tag_is_ignored():
    tagged = Image.Exif()
    tagged[0x0112] = 6  # A quarter turn.
    plain, turned = (_file(Image.fromarray(RGB), "JPEG", **options) for options in ({}, {"exif": tagged}))
    np.testing.assert_array_equal(decode_image(turned), decode_image(plain))


def test_no_image_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(b"no image")


@pytest.mark.parametrize("size", [16, 53, 64])
def test_resizing_is_bilinear_between_half_integer_centers(size):
    def weights(length: int) -> np.ndarray:
        """[size, length]: of the two nearest pixels of the side, by their distance from the new pixel's center."""
        centers = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        return np.maximum(0, 1 - np.abs(centers[:, np.newaxis] - np.arange(length)))

    expected = np.einsum("yh,xw,hwc->yxc", weights(RGB.shape[0]), weights(RGB.shape[1]), RGB.astype(np.float64))
    resized = resize_image(RGB, size)
    assert resized.dtype == tf.uint8
    assert np.max(np.abs(resized.numpy() - expected)) <= 0.5 + 1e-3
    np.testing.assert_array_equal(resize_image(RGB[np.newaxis], size)[0], resized)


def test_halves_are_rounded_to_the_even_level():
    pairs = np.array([[[0] * 3, [1] * 3], [[1] * 3, [2] * 3]], np.uint8)[:, np.newaxis]  # Two images of 1 x 2 px.
    np.testing.assert_array_equal(resize_image(pairs, 1)[:, 0, 0, 0], [0, 2])  # Means of 0.5 and 1.5.


def test_shapes_are_known_in_a_graph():
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def read(content: tf.Tensor) -> tf.Tensor:
        image = decode_image(content)
        assert image.shape.as_list() == [None, None, 3]
        return resize_image(image, 16)

    assert read.get_concrete_function().output_shapes == [16, 16, 3]
