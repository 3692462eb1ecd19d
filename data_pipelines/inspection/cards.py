"""A sample as a card of the sheet: its image, captions, narratives with their traces, and object classes."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from PIL import Image

from data_pipelines.images import decode_image
from data_pipelines.inspection import traces
from data_pipelines.inspection.samples import Sample
from data_pipelines.inspection.tokens import TokenCounter
from data_pipelines.records import Narrative

# Pixels of an image's longer side at most, and the quality of its JPEG file.
_SIDE, _QUALITY = 640, 82


def render(sample: Sample, text_length: int, token_counter: TokenCounter | None) -> str:
    """Renders a card.

    Args:
      sample: a record, with its split.
      text_length: tokens at which captions are cut.
      token_counter: tells what is cut off; None if it cannot be told.

    Returns:
      An <article> element; all text of the record is escaped.
    """
    record = sample.record
    image = decode_image(record.image).numpy()  # [height, width, 3], by the decoder of training.
    height, width, _ = image.shape
    overlays = "".join(
        f'<g class="trace{" shown" * (number == 0)}" data-n="{number}">{traces.overlay(narrative)}</g>'
        for number, narrative in enumerate(record.narratives)
    )
    narratives = record.narratives or [None] * len(record.captions)
    captions = "".join(
        _caption(number, caption, narrative, text_length, token_counter)
        for number, (caption, narrative) in enumerate(zip(record.captions, narratives))
    )
    several = len(record.narratives) > 1
    facts = f"{sample.split} · {width} x {height} · {len(record.image) / 1000:.1f} kB"
    labels = "".join(f"<span>{html.escape(label)}</span>" for label in record.labels)
    return (
        f'<article class="card{" several" * several}">'
        f'<div class="picture"><div class="frame" style="--ratio:{width / height:.4f}">{_image(image)}'
        f'<svg viewBox="0 0 {traces.SIDE} {traces.SIDE}" preserveAspectRatio="none">{overlays}</svg></div></div>'
        f'<div class="text"><b>{html.escape(record.image_id)}</b> <code>{html.escape(record.file_name)}</code>'
        f'<div class="soft">{facts}</div>'
        + (f'<div class="labels">{labels}</div>' if labels else "")
        + f"<ol>{captions}</ol></div></article>"
    )


def _image(image: np.ndarray) -> str:
    small = Image.fromarray(image)
    small.thumbnail((_SIDE, _SIDE), Image.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY, optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" width="{small.width}" height="{small.height}" alt="">'


def _caption(
    number: int, caption: str, narrative: Narrative | None, text_length: int, token_counter: TokenCounter | None
) -> str:
    num_kept = token_counter.words_kept(caption, text_length) if token_counter else None
    marked = traces.words(caption, narrative, num_kept)
    if narrative is None:
        return f"<li>{marked}</li>"
    traced = "" if len(narrative.points) else ", no trace"
    clock = f'<div class="clock">0 s<i></i>{traces.seconds(narrative):.1f} s{traced}</div>'
    return f'<li class="told{" shown" * (number == 0)}" data-n="{number}">{marked}{clock}</li>'
