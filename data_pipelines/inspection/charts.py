"""Histograms and bar charts as SVG, drawn with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from data_pipelines.inspection.histograms import Histogram

_MOST_BARS = 60
# The last bar holds all values above this percentile, so that a few extreme values do not compress the other bars.
_LAST_PERCENTILE = 99.5
# In inches: width of a chart; height of a histogram; in a bar chart, height of the title and of each bar.
_WIDTH, _HISTOGRAM_HEIGHT, _TITLE_HEIGHT, _HEIGHT_PER_BAR = 6.0, 2.6, 0.6, 0.26
# Medium tones, which are visible on the light and the dark background of the page.
_TEXT, _BAR, _CUT_BAR = "#7a8696", "#4d80d6", "#d0702c"
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "data_pipelines",  # Makes the file reproducible.
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _TEXT),
}


class Bins(NamedTuple):
    """The bars of a histogram."""

    first: int  # The smallest number of the first bar.
    width: int  # How many numbers each bar spans; the last bar also holds all larger numbers.
    counts: list[int]

    @property
    def starts(self) -> list[int]:
        """The smallest number of each bar."""
        return [self.first + place * self.width for place in range(len(self.counts))]


def bin_counts(histogram: Histogram[int], cut: int | None = None) -> Bins:
    """Groups numbers into at most about sixty bars.

    Args:
      histogram: a histogram of at least one number.
      cut: if given, a bar begins directly after this number.
    """
    first, last = min(histogram), histogram.percentile(_LAST_PERCENTILE)
    if cut is not None:
        first, last = min(first, cut), max(last, cut + 1)
    width = -(-(last - first + 1) // _MOST_BARS)
    if cut is not None:
        first -= (first - cut - 1) % width
    counts = [0] * ((last - first) // width + 1)
    for number, count in histogram.items():
        counts[min((number - first) // width, len(counts) - 1)] += count
    return Bins(first, width, counts)


def histogram_chart(histogram: Histogram[int], title: str, cut: int | None = None, per_unit: int = 1) -> str:
    """Draws a histogram.

    Args:
      histogram: a histogram of at least one number.
      title: what is counted.
      cut: if given, bars above this number have another color, and a line marks the number.
      per_unit: divisor of the numbers on the axis, such as 10 to show deciseconds as seconds.

    Returns:
      An SVG document.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _HISTOGRAM_HEIGHT), layout="constrained")
        draw_histogram(figure.subplots(), bin_counts(histogram, cut), title, cut, per_unit)
        return _to_svg(figure)


def bar_chart(counts: Mapping[str, int], title: str) -> str:
    """Draws a horizontal bar for each name.

    Args:
      counts: count of each name, at least one, in the order of the bars.
      title: what is counted.

    Returns:
      An SVG document, whose height grows with the number of names.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _TITLE_HEIGHT + _HEIGHT_PER_BAR * len(counts)), layout="constrained")
        draw_bars(figure.subplots(), counts, title)
        return _to_svg(figure)


def draw_histogram(axes: Axes, bins: Bins, title: str, cut: int | None, per_unit: int) -> None:
    """Draws the bars of `histogram_chart`. The bar of the numbers a to b is centered between a - 1/2 and b + 1/2."""
    starts = bins.starts
    centers = [(start + (bins.width - 1) / 2) / per_unit for start in starts]
    colors = [_CUT_BAR if cut is not None and start > cut else _BAR for start in starts]
    axes.bar(centers, bins.counts, 0.85 * bins.width / per_unit, color=colors)
    if cut is not None:
        place = (cut + 0.5) / per_unit
        axes.axvline(place, color=_CUT_BAR, linestyle="--", linewidth=1)
        side = "right" if cut > (starts[0] + starts[-1]) / 2 else "left"
        words = f" cut at {cut / per_unit:g} "
        axes.text(place, 1, words, ha=side, va="top", transform=axes.get_xaxis_transform())  # y: a share of the axis.
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=per_unit == 1))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _set_title(axes, title)


def draw_bars(axes: Axes, counts: Mapping[str, int], title: str) -> None:
    """Draws the bars of `bar_chart`."""
    bars = axes.barh(range(len(counts)), list(counts.values()), 0.75, color=_BAR)
    axes.bar_label(bars, [f"{count:,}" for count in counts.values()], padding=4)
    axes.set_yticks(range(len(counts)), [_plain(name) for name in counts])
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.margins(x=0.15, y=0.01)
    _set_title(axes, title)


def _set_title(axes: Axes, title: str) -> None:
    axes.set_title(_plain(title), loc="left", fontsize=11, fontweight="bold")


def _plain(text: str) -> str:
    """Escapes text so that matplotlib does not parse it as a formula."""
    return text.replace("$", r"\$")


def _to_svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()
