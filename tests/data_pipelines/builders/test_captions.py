"""Captions as they are found, one by one."""

from __future__ import annotations

import pytest

from data_pipelines.builders import captions


@pytest.mark.parametrize("caption", ["A ball.", "Un été à la plage, 日本 🙂", "a"])
def test_a_clean_caption_is_left_as_it_is(caption):
    assert captions.clean(caption, "7") == (caption, [])


@pytest.mark.parametrize(
    ("caption", "cleaned", "reason"),
    [
        (" a ball", "a ball", "stray spaces in caption"),
        ("a ball\n", "a ball", "stray spaces in caption"),
        ("a  ball", "a ball", "stray spaces in caption"),
        ("a\tball", "a ball", "stray spaces in caption"),
        ("a\u00a0ball\u3000", "a ball", "stray spaces in caption"),
        ("a\nball", "a ball", "line break in caption"),
        ("a\r\n\r\n ball ", "a ball", "line break in caption"),
        ("a\u2028ball", "a ball", "line break in caption"),
    ],
)
def test_spaces_and_line_breaks_are_mended(caption, cleaned, reason):
    text, notes = captions.clean(caption, "7")
    assert text == cleaned
    assert [(note.action, note.what, note.name, note.reason) for note in notes] == [("mended", "caption", "7", reason)]


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        ("", "empty caption"),
        (" \n\t", "empty caption"),
        (None, "caption is not text"),
        (3, "caption is not text"),
        (["a ball"], "caption is not text"),
        (b"a b\xe4ll".decode(errors="surrogateescape"), "caption is not UTF-8"),
        ("a \ud83d ball", "caption is not UTF-8"),
    ],
)
def test_what_is_no_caption_is_left_out(caption, reason):
    text, notes = captions.clean(caption, "7")
    assert text == ""
    assert [(note.action, note.reason) for note in notes] == [("left out", reason)]
