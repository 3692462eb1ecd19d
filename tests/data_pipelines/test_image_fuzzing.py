"""Whatever the bytes of an image file are, the reader gives an image or one line, in bounded time and memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_pipelines import image_files, jpegs
from data_pipelines.images import decode_image
from tests.data_pipelines.test_image_files import ODD, PLAIN

VALID = [*PLAIN.values(), *(content for content, _, _ in ODD.values())]
# Numbers at the ends of the types in which headers state sizes, offsets and counts.
EXTREMES = [b"\0", b"\xff", b"\x80", b"\x7f", bytes(2), b"\xff\xff", bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff"]


@st.composite
def mutated(draw) -> bytes:
    """A valid file with a few changes, most of them near its start, where the header is."""
    content = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        end = draw(st.sampled_from([32, 128, len(content)]))
        at = draw(st.integers(0, min(end, len(content))))
        length = draw(st.sampled_from([0, 1, 4, 300, len(content)]))
        new = draw(st.one_of(st.binary(max_size=8), st.sampled_from(EXTREMES), st.just(bytes(content[:length]))))
        kind = draw(st.sampled_from(["overwrite", "insert", "replace", "cut"]))
        if kind == "cut":
            del content[at:]
        else:
            content[at : at + {"overwrite": len(new), "insert": 0, "replace": length}[kind]] = new
    return bytes(content)


def _outcome(use, content: bytes):
    """Returns the result of a function, or None if it refuses the content for a short reason."""
    try:
        return use(content)
    except ValueError as error:
        assert len(str(error)) < 40 and str(error).isprintable()
        return None


def _check(content: bytes) -> None:
    image, stored = (_outcome(use, content) for use in (image_files.decode, image_files.encoded_for_records))
    assert (image is None) == (stored is None)
    if image is not None:
        height, width, channels = image.rgb.shape
        assert image.rgb.dtype == np.uint8 and channels == 3 and 0 < height * width <= image_files.MAX_PIXELS
        assert decode_image(stored.content).shape == image.rgb.shape


@pytest.fixture(autouse=True, scope="module")
def small_images():
    """Headers that claim millions of pixels are believed up to the limit, which takes time for each."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (image_files, jpegs):
            patch.setattr(module, "MAX_PIXELS", 1_000_000)
        yield


def _quick(examples: int):
    return settings(max_examples=examples, deadline=2000, database=None, suppress_health_check=list(HealthCheck))


@_quick(300)
@given(mutated())
def test_mutations_give_an_image_or_a_reason(content):
    _check(content)


@pytest.mark.slow  # Minutes, for many more of them.
@_quick(30_000)
@given(mutated())
def test_many_mutations_give_an_image_or_a_reason(content):
    _check(content)
