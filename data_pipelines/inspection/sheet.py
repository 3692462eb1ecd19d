"""The sheet: a report and some samples as one HTML file, to be looked at in any browser without a network.

The page is `sheet.html.jinja`. Jinja escapes all text of the records.
"""

from __future__ import annotations

import base64
import io
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jinja2
import numpy as np
from etils import epath
from PIL import Image

from data_pipelines.images import decode_image
from data_pipelines.inspection import charts, traces
from data_pipelines.inspection.report import Report
from data_pipelines.inspection.samples import Sample
from data_pipelines.inspection.split_statistics import SplitStatistics
from data_pipelines.inspection.tokens import TokenCounter
from data_pipelines.records import Narrative

# Object classes whose bars are shown.
_CLASSES = 16
# Pixels of an image's longer side at most, and the quality of its JPEG file.
_SIDE, _QUALITY = 640, 82


def render(report: Report, samples: Sequence[Sample], token_counter: TokenCounter | None = None, hint: str = "") -> str:
    """Renders the sheet.

    Args:
      report: of the dataset.
      samples: records to show.
      token_counter: tells what of their captions is cut off; None if it cannot be told.
      hint: a line on what is missing from the report; may be empty.

    Returns:
      A whole HTML document that needs no other file and no network.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("sheet.html.jinja").render(
        report=report,
        hint=hint,
        tiles=_tiles(report),
        charts=[list(_charts(split, each, report.text_length)) for split, each in report.splits.items()],
        legend=_legend(report, samples),
        cards=[_card(sample, report.text_length, token_counter) for sample in samples],
        side=traces.SIDE,
    )


def check_output(path: str | os.PathLike) -> str:
    """Refuses, before the work, a file that could not be written at its end; makes its folder.

    Args:
      path: of the file; replaced if it is there.

    Returns:
      The path, with the user's folder for '~'.

    Raises:
      ValueError: it is a folder.
      OSError: its folder cannot be made.
    """
    file = epath.Path(path).expanduser()
    if file.is_dir():
        raise ValueError(f"{os.fspath(file)} is a folder: name a file in it")
    file.parent.mkdir(parents=True, exist_ok=True)
    return os.fspath(file)


def _tiles(report: Report) -> Iterator[tuple[str, str]]:
    """The numbers that one looks for first, each with its name."""
    for split, summary in report.summaries.items():
        yield f"{summary['pictures']:,}", f"{split} images"
        yield f"{summary['captions']:,}", "captions of them"
        if summary["cut"]:
            yield f"{summary['cut']['share']:.1%}", f"cut at {report.text_length} tokens"
    if report.comparisons:
        agreeing = sum(comparison.agrees for comparison in report.comparisons)
        yield f"{agreeing} of {len(report.comparisons)}", "numbers agree with Table 1"


def _charts(split: str, statistics: SplitStatistics, text_length: int) -> Iterator[tuple[str, str]]:
    """Title and address of each chart of a split."""

    def histogram(counts: Any, what: str, cut: int | None = None, per_unit: int = 1) -> tuple[str, str]:
        title = f"{split}: {what}"
        return title, _address(charts.histogram_chart(counts, title, cut, per_unit).encode(), "svg+xml")

    if statistics.tokens:
        yield histogram(statistics.tokens, "tokens a caption", cut=text_length)
    yield histogram(statistics.words, "words a caption")
    yield histogram(statistics.hectobytes, "kB an image", per_unit=10)
    if statistics.deciseconds:
        yield histogram(statistics.deciseconds, "seconds a narrative", per_unit=10)
    if statistics.num_traced:
        yield histogram(statistics.points, "points of a narrative's trace")
    if statistics.labels:
        title = f"{split}: images of the most frequent of {len(statistics.labels)} classes"
        yield (
            title,
            _address(charts.bar_chart(dict(statistics.labels.most_common(_CLASSES)), title).encode(), "svg+xml"),
        )


def _legend(report: Report, samples: Sequence[Sample]) -> str:
    """What the marks on the samples mean."""
    lines = []
    if any(summary["cut"] for summary in report.summaries.values()):
        lines.append(f"Struck out: what lies beyond {report.text_length} tokens, which the models do not see.")
    if any(len(narrative.points) for sample in samples for narrative in sample.record.narratives):
        lines.append(
            "Words and traces are colored by their time, from blue to red: point at a word to see where the mouse "
            "was meanwhile, or at a trace to see the words."
        )
    return " ".join(lines)


def _card(sample: Sample, text_length: int, token_counter: TokenCounter | None) -> dict[str, Any]:
    """What the page shows of a sample."""
    record = sample.record
    pixels = decode_image(record.image).numpy()  # [height, width, 3]
    height, width, _ = pixels.shape
    kept = [token_counter.words_kept(caption, text_length) if token_counter else None for caption in record.captions]
    narratives: list[Narrative | None] = [*record.narratives] or [None] * len(record.captions)
    return {
        "record": record,
        "facts": f"{sample.split} · {width} x {height} · {len(record.image) / 1000:.1f} kB",
        "ratio": f"{width / height:.4f}",
        "image": _thumbnail(pixels),
        "traces": [traces.trace(narrative) for narrative in record.narratives],
        "captions": [
            {"words": traces.words(caption, narrative, num_kept), "clock": narrative and _clock(narrative)}
            for caption, narrative, num_kept in zip(record.captions, narratives, kept)
        ],
    }


def _clock(narrative: Narrative) -> str:
    return f"{traces.seconds(narrative):.1f} s{'' if len(narrative.points) else ', no trace'}"


def _thumbnail(pixels: np.ndarray) -> str:
    """The address of a small image of [height, width, 3] uint8."""
    small = Image.fromarray(pixels)
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return _address(file.getvalue(), "jpeg")


def _address(content: bytes, kind: str) -> str:
    """An address that is the image itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
