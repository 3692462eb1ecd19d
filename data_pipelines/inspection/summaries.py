"""Summaries of a split's statistics, for JSON and as tables with one column for each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from data_pipelines.inspection.histograms import Histogram
from data_pipelines.inspection.split_statistics import SplitStatistics

# How many object classes, and how many numbers of captions per image, the tables list.
_SHOWN_CLASSES, _SHOWN_COUNTS = 5, 3
_NONE = "-"


class Table(NamedTuple):
    """A table of text."""

    header: list[str]
    rows: list[list[str]]  # Each has as many cells as the header.


def summarize(statistics: SplitStatistics, text_length: int) -> dict[str, Any]:
    """Summarizes a split of at least one image.

    Args:
      statistics: statistics of the split.
      text_length: number of tokens after which training cuts captions.

    Returns:
      A tree of numbers, lists and names, with None where there is nothing to report. Shares are in [0, 1]. The keys are
      part of the JSON format and must not change.
    """
    return {
        "pictures": statistics.num_images,
        "captions": statistics.num_captions,
        "captions_per_picture": {
            "mean": statistics.captions.mean(),
            "pictures": dict(sorted(statistics.captions.items())),
        },
        "words_per_caption": _spread(statistics.words),
        "tokens_per_caption": _spread(statistics.tokens),
        "cut": _cut(statistics.tokens, text_length),
        "picture_size": _sizes(statistics.sizes),
        "kilobytes_per_picture": _spread(statistics.hectobytes, per_unit=10),
        "bytes_per_picture": statistics.num_bytes / statistics.num_images,
        "bytes": statistics.num_bytes,
        "classes": {
            "number": len(statistics.labels),
            "share_of_pictures": statistics.num_labelled / statistics.num_images,
            "pictures": dict(sorted(statistics.labels.items(), key=lambda item: (-item[1], item[0]))),
        },
        "narratives": _spoken(statistics),
    }


def tables(summaries: Mapping[str, Mapping[str, Any]], text_length: int) -> list[Table]:
    """Formats the summaries as tables, one for each subject.

    Args:
      summaries: results of `summarize`, by split.
      text_length: number of tokens after which training cuts captions.

    Returns:
      Tables with one column for each split. The table of narratives is included only if there are any.
    """
    columns = {
        "images": [_images(summary) for summary in summaries.values()],
        "captions": [_captions(summary, text_length) for summary in summaries.values()],
        "classes": [_classes(summary) for summary in summaries.values()],
    }
    if any(summary["narratives"] for summary in summaries.values()):
        columns["narratives"] = [_narratives(summary) for summary in summaries.values()]
    return [
        Table([subject, *summaries], [[name, *(column[name] for column in by_split)] for name in by_split[0]])
        for subject, by_split in columns.items()
    ]


def _spread(histogram: Histogram[int], per_unit: int = 1) -> dict[str, float] | None:
    """Returns mean, percentiles and extremes of a histogram, divided by `per_unit`; None if it is empty."""
    if not histogram:
        return None
    percentiles = {"smallest": 0, "p50": 50, "p90": 90, "p99": 99, "largest": 100}
    return {
        "mean": histogram.mean() / per_unit,
        **{name: histogram.percentile(percent) / per_unit for name, percent in percentiles.items()},
    }


def _cut(tokens: Histogram[int], text_length: int) -> dict[str, float] | None:
    return {"text_length": text_length, "share": tokens.share_above(text_length)} if tokens else None


def _sizes(sizes: Histogram[tuple[int, int]]) -> dict[str, list[int] | float]:
    """Returns [width, height] of the smallest, the median and the largest image by area, and the mean area."""

    def area(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
        return size[0] * size[1], size

    areas: Histogram[int] = Histogram()
    for (width, height), count in sizes.items():
        areas[width * height] += count
    places = {"smallest": 0, "median": 50, "largest": 100}
    return {
        **{name: list(sizes.percentile(percent, key=area)) for name, percent in places.items()},
        "mean_megapixels": areas.mean() / 1e6,
    }


def _spoken(statistics: SplitStatistics) -> dict[str, Any] | None:
    """Summarizes the narratives; returns None if there are none."""
    if not statistics.points:
        return None
    traced = Histogram({points: count for points, count in statistics.points.items() if points})
    return {
        "share_timed": statistics.deciseconds.size / statistics.num_captions,
        "share_traced": statistics.num_traced / statistics.num_captions,
        "seconds": _spread(statistics.deciseconds, per_unit=10),
        "points_per_trace": _spread(traced),
    }


def _images(summary: Mapping[str, Any]) -> dict[str, str]:
    sizes, kilobytes = summary["picture_size"], summary["kilobytes_per_picture"]
    return {
        "images": f"{summary['pictures']:,}",
        "smallest": _size(sizes["smallest"]),
        "median": _size(sizes["median"]),
        "largest": _size(sizes["largest"]),
        "megapixels, mean": f"{sizes['mean_megapixels']:.2f}",
        "kB per image, mean": f"{summary['bytes_per_picture'] / 1e3:.1f}",
        "kB, 50th / 90th / 99th percentile": _percentiles(kilobytes, ".1f"),
        "total size": _bytes(summary["bytes"]),
    }


def _captions(summary: Mapping[str, Any], text_length: int) -> dict[str, str]:
    per_image, words, tokens = (
        summary[name] for name in ("captions_per_picture", "words_per_caption", "tokens_per_caption")
    )
    return {
        "captions": f"{summary['captions']:,}",
        "captions per image, mean": f"{per_image['mean']:.2f}",
        "images by number of captions": _most(per_image["pictures"], summary["pictures"]),
        "words per caption, mean": f"{words['mean']:.1f}",
        "words, 50th / 90th / 99th percentile": _percentiles(words),
        "tokens per caption, mean": f"{tokens['mean']:.1f}" if tokens else "not counted",
        "tokens, 50th / 90th / 99th percentile": _percentiles(tokens),
        f"captions cut at {text_length} tokens": f"{summary['cut']['share']:.2%}" if tokens else _NONE,
    }


def _classes(summary: Mapping[str, Any]) -> dict[str, str]:
    classes = summary["classes"]
    most = [f"{name} {count / summary['pictures']:.1%}" for name, count in classes["pictures"].items()]
    most += [_NONE] * _SHOWN_CLASSES
    return {
        "object classes": f"{classes['number']:,}",
        "images with classes": f"{classes['share_of_pictures']:.1%}",
        **{f"frequency rank {rank}": most[rank - 1] for rank in range(1, _SHOWN_CLASSES + 1)},
    }


def _narratives(summary: Mapping[str, Any]) -> dict[str, str]:
    spoken = summary["narratives"] or {"share_timed": 0, "share_traced": 0, "seconds": None, "points_per_trace": None}
    seconds, points = spoken["seconds"], spoken["points_per_trace"]
    return {
        "captions with timed words": f"{spoken['share_timed']:.1%}",
        "captions with traces": f"{spoken['share_traced']:.1%}",
        "seconds, mean": f"{seconds['mean']:.1f}" if seconds else _NONE,
        "seconds, 50th / 90th / 99th percentile": _percentiles(seconds, ".1f"),
        "points per trace, mean": f"{points['mean']:,.0f}" if points else _NONE,
        "points, 50th / 90th / 99th percentile": _percentiles(points),
    }


def _percentiles(spread: Mapping[str, float] | None, form: str = ",.0f") -> str:
    return " / ".join(format(spread[name], form) for name in ("p50", "p90", "p99")) if spread else _NONE


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"


def _bytes(number: float) -> str:
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.3g} {units[0]}"


def _most(images: Mapping[int, int], total: int) -> str:
    """Returns a list such as '5: 99.7%, 6: 0.2%, ...', most frequent first."""
    most = sorted(images.items(), key=lambda item: -item[1])
    named = [f"{number}: {count / total:.1%}" for number, count in most[:_SHOWN_COUNTS]]
    return ", ".join([*named, "..."] if len(most) > len(named) else named)
