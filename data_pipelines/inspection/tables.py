"""The numbers as rows of text, one column a split: on the console and in the sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from data_pipelines.inspection.notes import Kind
from data_pipelines.inspection.table1 import Comparison

# Object classes and numbers of captions an image that are named.
_NAMED_CLASSES, _NAMED_NUMBERS = 5, 3
_NONE = "-"
# Header of the column that says whether a number agrees with the paper's.
VERDICT = "verdict"


class Table(NamedTuple):
    """A table of text."""

    header: list[str]
    rows: list[list[str]]  # As many cells each as the header.


def of_statistics(summaries: Mapping[str, Mapping[str, Any]], text_length: int) -> list[Table]:
    """What is in the records, by subject.

    Args:
      summaries: of `summary.summarize`, by split.
      text_length: tokens at which training cuts captions.

    Returns:
      Tables with one column for each split; that of narratives only where there are some.
    """
    subjects = [_images, _captions, _classes]
    if any(summary["narratives"] for summary in summaries.values()):
        subjects.append(_narratives)
    tables = []
    for subject in subjects:
        title = subject.__name__.strip("_")
        columns = [subject(summary, text_length) for summary in summaries.values()]
        rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
        tables.append(Table([title, *summaries], rows))
    return tables


def of_comparisons(comparisons: Sequence[Comparison]) -> Table:
    """The records beside Table 1."""
    rows = [[each.split, each.what, each.ours, each.paper, each.verdict] for each in comparisons]
    return Table(["split", "beside the paper", "records", "Table 1", VERDICT], rows)


def of_notes(kinds: Sequence[Kind]) -> Table:
    """What was left out, mended or kept though odd."""
    rows = [[each.split, each.action, each.what, each.reason, f"{each.count:,}", each.names[0]] for each in kinds]
    return Table(["split", "noted", "what", "reason", "number", "first"], rows)


def to_text(*tables: Table) -> str:
    """Tables with as many columns, below each other: columns aligned, two spaces apart, each header underlined."""
    lines = [line for table in tables for line in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = "  ".join("-" * width for width in widths)

    def aligned(line: Sequence[str]) -> str:
        return "  ".join(map(str.ljust, line, widths)).rstrip()

    return "\n\n".join("\n".join([aligned(table.header), rule, *map(aligned, table.rows)]) for table in tables)


def _images(summary: Mapping[str, Any], text_length: int) -> dict[str, str]:
    del text_length
    sizes, kilobytes = summary["picture_size"], summary["kilobytes_per_picture"]
    return {
        "pictures": f"{summary['pictures']:,}",
        "smallest": _size(sizes["smallest"]),
        "median": _size(sizes["median"]),
        "largest": _size(sizes["largest"]),
        "megapixels, mean": f"{sizes['mean_megapixels']:.2f}",
        "kB a picture, mean": f"{summary['bytes_per_picture'] / 1e3:.1f}",
        "kB, 50th / 90th / 99th percentile": _percentiles(kilobytes, ".1f"),
        "all together": _bytes(summary["bytes"]),
    }


def _captions(summary: Mapping[str, Any], text_length: int) -> dict[str, str]:
    per_image, words, tokens = (
        summary[name] for name in ("captions_per_picture", "words_per_caption", "tokens_per_caption")
    )
    return {
        "captions": f"{summary['captions']:,}",
        "captions a picture, mean": f"{per_image['mean']:.2f}",
        "pictures by number of captions": _most(per_image["pictures"], summary["pictures"]),
        "words a caption, mean": f"{words['mean']:.1f}",
        "words, 50th / 90th / 99th percentile": _percentiles(words),
        "tokens a caption, mean": f"{tokens['mean']:.1f}" if tokens else "not counted",
        "tokens, 50th / 90th / 99th percentile": _percentiles(tokens),
        f"captions cut at {text_length} tokens": f"{summary['cut']['share']:.2%}" if tokens else _NONE,
    }


def _classes(summary: Mapping[str, Any], text_length: int) -> dict[str, str]:
    del text_length
    classes = summary["classes"]
    most = [f"{name} {count / summary['pictures']:.1%}" for name, count in classes["pictures"].items()]
    most += [_NONE] * _NAMED_CLASSES
    return {
        "object classes": f"{classes['number']:,}",
        "pictures with some": f"{classes['share_of_pictures']:.1%}",
        "most frequent": most[0],
        **{f"{place}. most frequent": most[place - 1] for place in range(2, _NAMED_CLASSES + 1)},
    }


def _narratives(summary: Mapping[str, Any], text_length: int) -> dict[str, str]:
    del text_length
    spoken = summary["narratives"] or {"share_timed": 0, "share_traced": 0, "seconds": None, "points_per_trace": None}
    seconds, points = spoken["seconds"], spoken["points_per_trace"]
    return {
        "captions with timed words": f"{spoken['share_timed']:.1%}",
        "captions with traces": f"{spoken['share_traced']:.1%}",
        "seconds, mean": f"{seconds['mean']:.1f}" if seconds else _NONE,
        "seconds, 50th / 90th / 99th percentile": _percentiles(seconds, ".1f"),
        "points a trace, mean": f"{points['mean']:,.0f}" if points else _NONE,
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


def _most(pictures: Mapping[int, int], total: int) -> str:
    """'5: 99.7%, 6: 0.2%, ...', the most frequent first."""
    most = sorted(pictures.items(), key=lambda item: -item[1])
    named = [f"{number}: {count / total:.1%}" for number, count in most[:_NAMED_NUMBERS]]
    return ", ".join([*named, "..."] if len(most) > len(named) else named)
