"""Histograms as SVG, to be set into a page."""

from __future__ import annotations

import html
from collections.abc import Mapping

# Coordinates of the drawing: its size, and the place of the bars in it.
_WIDTH, _HEIGHT, _LEFT, _TOP, _BASE = 440, 190, 8, 26, 164
_MOST_BARS = 60
# The last bar holds the values beyond this percentile's, so that a few very long ones do not squeeze the others.
_WHOLE = 0.995


def histogram(counts: Mapping[int, int], title: str, cut: int | None = None, per_unit: int = 1) -> str:
    """Draws a histogram.

    Args:
      counts: how often each number occurs, at least one.
      title: what is counted.
      cut: bars of numbers above it stand out, and a line marks it.
      per_unit: how many of what is counted make one on the axis.

    Returns:
      An <svg> element.
    """
    first, last = min(counts), _last(counts)
    if cut is not None:
        first, last = min(first, cut), max(last, cut + 1)
    width = -(-(last - first + 1) // _MOST_BARS)  # Numbers a bar.
    if cut is not None:
        first -= (first - cut - 1) % width  # A bar begins behind the cut.
    num_bars = (last - first) // width + 1
    bars = [0] * num_bars
    for number, count in counts.items():
        bars[min((number - first) // width, num_bars - 1)] += count
    step = (_WIDTH - 2 * _LEFT) / num_bars

    def x_of(number: float) -> float:
        return _LEFT + (number - first) / width * step

    parts = [f'<text class="title" x="{_LEFT}" y="14">{html.escape(title)}</text>']
    for place, count in enumerate(bars):
        begin, end = first + place * width, first + (place + 1) * width - 1
        height = count / max(bars) * (_BASE - _TOP)
        beyond = cut is not None and begin > cut
        label = _label(begin, end, per_unit) if place + 1 < num_bars else f"{begin / per_unit:g} and more"
        parts.append(
            f'<rect class="{"beyond" if beyond else "bar"}" x="{x_of(begin) + 0.5:.1f}" y="{_BASE - height:.1f}" '
            f'width="{max(step - 1, 0.5):.1f}" height="{height:.1f}"><title>{label}: {count:,}</title></rect>'
        )
    for number in _ticks(first, last, per_unit):
        parts.append(f'<text class="tick" x="{x_of(number + 0.5):.1f}" y="{_BASE + 16}">{number / per_unit:g}</text>')
    if cut is not None:
        x = x_of(cut + 1)
        anchor = "end" if x > _WIDTH / 2 else "start"
        parts.append(
            f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{_BASE}"/>'
            f'<text class="cut" x="{x + (-4 if anchor == "end" else 4):.1f}" y="{_TOP + 4}" '
            f'text-anchor="{anchor}">cut at {cut / per_unit:g}</text>'
        )
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _LEFT}" y1="{_BASE}" y2="{_BASE}"/>')
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{"".join(parts)}</svg>'


def bars(counts: Mapping[str, int], title: str) -> str:
    """Draws a bar beside each name.

    Args:
      counts: of each name, at least one, in the order wanted.
      title: what is counted.

    Returns:
      An <svg> element, as high as there are names.
    """
    line, names = 19, 130  # The height of a bar, and the width of the names.
    height = _TOP + line * len(counts) + 6
    parts = [f'<text class="title" x="{_LEFT}" y="14">{html.escape(title)}</text>']
    for place, (name, count) in enumerate(counts.items()):
        y = _TOP + place * line
        width = count / max(counts.values()) * (_WIDTH - names - 70)
        parts.append(
            f'<text x="{names - 6}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>'
            f'<rect class="bar" x="{names}" y="{y + 2}" width="{width:.1f}" height="{line - 5}"/>'
            f'<text x="{names + width + 6:.1f}" y="{y + 12}">{count:,}</text>'
        )
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img">{"".join(parts)}</svg>'


def _last(counts: Mapping[int, int]) -> int:
    """The number below which nearly all others are."""
    reached, total = 0, sum(counts.values())
    for number in sorted(counts):
        reached += counts[number]
        if reached >= _WHOLE * total:
            return number
    return max(counts)


def _label(begin: int, end: int, per_unit: int) -> str:
    return f"{begin / per_unit:g}" if begin == end else f"{begin / per_unit:g} to {end / per_unit:g}"


def _ticks(first: int, last: int, per_unit: int) -> list[int]:
    """About five round numbers between two."""
    span = max(last - first, 1) / per_unit
    size = next(
        size for power in range(-1, 12) for size in (10**power, 2 * 10**power, 5 * 10**power) if size * 6 >= span
    )
    size = max(round(size * per_unit), 1)
    return list(range(-(-first // size) * size, last + 1, size))
