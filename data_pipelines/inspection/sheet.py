"""The sheet: a report and some samples as one HTML file, which any browser shows without a network.

The template is `sheet.html.jinja`. Jinja escapes all text from the records.
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

# Number of object classes in the bar chart.
_SHOWN_CLASSES = 16
# Largest side of a thumbnail in pixels, and its JPEG quality.
_SIDE, _QUALITY = 640, 82


def render(report: Report, samples: Sequence[Sample], token_counter: TokenCounter | None = None, hint: str = "") -> str:
    """Renders the sheet.

    Args:
      report: the report on the dataset.
      samples: records to show.
      token_counter: finds which words of the captions are cut; None if that is unknown.
      hint: a line that says what is missing from the report; may be empty.

    Returns:
      A complete HTML document that needs no other file and no network.
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
    """Checks, before the work begins, that an output file can be written, and creates its folder.

    Args:
      path: path of the file; an existing file will be overwritten.

    Returns:
      The path with '~' expanded.

    Raises:
      ValueError: the path is a folder.
      OSError: the file's folder cannot be created or written to.
    """
    file = epath.Path(path).expanduser()
    if file.is_dir():
        raise ValueError(f"{os.fspath(file)} is a folder: name a file in it")
    file.parent.mkdir(parents=True, exist_ok=True)
    if "://" not in os.fspath(file) and not os.access(file.parent, os.W_OK):
        raise OSError(f"{file.parent} cannot be written to: name the files with --sheet and --output")
    return os.fspath(file)


def _tiles(report: Report) -> Iterator[tuple[str, str]]:
    """Yields the most important numbers, each with its name."""
    for split, summary in report.summaries.items():
        yield f"{summary['pictures']:,}", f"{split} images"
        yield f"{summary['captions']:,}", f"{split} captions"
        if summary["cut"]:
            yield f"{summary['cut']['share']:.1%}", f"{split} captions cut at {report.text_length} tokens"
    if report.comparisons:
        agreeing = sum(comparison.agrees for comparison in report.comparisons)
        yield f"{agreeing} of {len(report.comparisons)}", "numbers agree with Table 1"


def _charts(split: str, statistics: SplitStatistics, text_length: int) -> Iterator[tuple[str, str]]:
    """Yields the title and the data URL of each chart of a split."""

    def histogram(counts: Any, what: str, cut: int | None = None, per_unit: int = 1) -> tuple[str, str]:
        title = f"{split}: {what}"
        return title, _data_url(charts.histogram_chart(counts, title, cut, per_unit).encode(), "svg+xml")

    if statistics.tokens:
        yield histogram(statistics.tokens, "tokens per caption", cut=text_length)
    yield histogram(statistics.words, "words per caption")
    yield histogram(statistics.hectobytes, "kB per image", per_unit=10)
    if statistics.deciseconds:
        yield histogram(statistics.deciseconds, "seconds per narrative", per_unit=10)
    if statistics.num_traced:
        yield histogram(statistics.points, "points per trace of a narrative")
    if statistics.labels:
        title = f"{split}: images with the most frequent of {len(statistics.labels)} classes"
        yield (
            title,
            _data_url(charts.bar_chart(dict(statistics.labels.most_common(_SHOWN_CLASSES)), title).encode(), "svg+xml"),
        )


def _legend(report: Report, samples: Sequence[Sample]) -> str:
    """Explains the marks on the samples."""
    lines = []
    if any(summary["cut"] for summary in report.summaries.values()):
        lines.append(f"Words beyond {report.text_length} tokens are struck out: the models do not see them.")
    if any(len(narrative.points) for sample in samples for narrative in sample.record.narratives):
        lines.append(
            "Words and traces are colored by their time, from blue to red. Point at a word to see where the mouse "
            "was at that time, or at a trace to see the words."
        )
    return " ".join(lines)


def _card(sample: Sample, text_length: int, token_counter: TokenCounter | None) -> dict[str, Any]:
    """Collects what the template shows of a sample."""
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
    """Returns the data URL of a small version of an image, [height, width, 3] uint8."""
    small = Image.fromarray(pixels)
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return _data_url(file.getvalue(), "jpeg")


def _data_url(content: bytes, kind: str) -> str:
    """Returns a data URL, which contains the image itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
