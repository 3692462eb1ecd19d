"""Statistics of a split as plain numbers, for machines (JSON) and for the tables."""

from __future__ import annotations

import collections
from typing import Any

from data_pipelines.inspection import counts
from data_pipelines.inspection.statistics import SplitStatistics


def summarize(statistics: SplitStatistics, text_length: int) -> dict[str, Any]:
    """Sums up a split of at least one image.

    Args:
      statistics: of the split.
      text_length: tokens at which training cuts captions.

    Returns:
      A tree of numbers, lists and names, None where there is nothing to be said. A 'spread' in it is what `_spread`
      gives; shares are in [0, 1].
    """
    return {
        "pictures": statistics.num_images,
        "captions": statistics.num_captions,
        "captions_per_picture": {
            "mean": counts.mean(statistics.captions),
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
        "narratives": _narratives(statistics),
    }


def _spread(histogram: collections.Counter[int], per_unit: int = 1) -> dict[str, float] | None:
    """Mean, percentiles and extremes of a histogram that counts `per_unit` to the unit; None if it is empty."""
    if not histogram:
        return None
    percentiles = {"smallest": 0, "p50": 50, "p90": 90, "p99": 99, "largest": 100}
    return {
        "mean": counts.mean(histogram) / per_unit,
        **{name: counts.percentile(histogram, percent) / per_unit for name, percent in percentiles.items()},
    }


def _cut(tokens: collections.Counter[int], text_length: int) -> dict[str, float] | None:
    return {"text_length": text_length, "share": counts.share_above(tokens, text_length)} if tokens else None


def _sizes(sizes: collections.Counter[tuple[int, int]]) -> dict[str, list[int] | float]:
    """[width, height] of the smallest, the median and the largest image by area, and the mean area."""

    def area(size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
        return size[0] * size[1], size

    areas: collections.Counter[int] = collections.Counter()
    for (width, height), count in sizes.items():
        areas[width * height] += count
    places = {"smallest": 0, "median": 50, "largest": 100}
    return {
        **{name: list(counts.percentile(sizes, percent, key=area)) for name, percent in places.items()},
        "mean_megapixels": counts.mean(areas) / 1e6,
    }


def _narratives(statistics: SplitStatistics) -> dict[str, Any] | None:
    """On captions that were spoken; None if none was."""
    if not statistics.points:
        return None
    traced = collections.Counter({points: count for points, count in statistics.points.items() if points})
    return {
        "share_timed": counts.total(statistics.deciseconds) / statistics.num_captions,
        "share_traced": statistics.num_traced / statistics.num_captions,
        "seconds": _spread(statistics.deciseconds, per_unit=10),
        "points_per_trace": _spread(traced),
    }
