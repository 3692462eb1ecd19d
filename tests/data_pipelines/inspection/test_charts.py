"""Charts, by the numbers that they carry and the places of what is drawn."""

from __future__ import annotations

import xml.etree.ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from data_pipelines.inspection import charts
from data_pipelines.inspection.histograms import Histogram


@pytest.mark.parametrize("cut", [None, 5, 17, 64, 500])
@pytest.mark.parametrize("spread", [1, 8, 200])
def test_histograms_count_everything_once(cut, spread):
    numbers = np.random.default_rng(0).integers(10, 10 + spread, 3000)
    bins = charts.bin_counts(Histogram(numbers.tolist()), cut)
    assert sum(bins.counts) == 3000 and len(bins.counts) <= 2 * charts._MOST_BARS
    for start, stop, count in zip(bins.starts, [*bins.starts[1:], np.inf], bins.counts):
        assert count == ((numbers >= start) & (numbers < stop)).sum()
    assert cut is None or cut + 1 in bins.starts


@pytest.mark.parametrize("cut", [None, 5, 17, 64, 500])
def test_bars_show_the_counts_and_stand_out_behind_the_cut(cut):
    numbers = np.random.default_rng(0).integers(10, 210, 3000)
    bins = charts.bin_counts(Histogram(numbers.tolist()), cut)
    axes = Figure().subplots()
    charts.draw_histogram(axes, bins, "tokens", cut, per_unit=1)
    assert [bar.get_height() for bar in axes.patches] == bins.counts
    for bar, start in zip(axes.patches, bins.starts):
        assert start - 0.5 < bar.get_x() and bar.get_x() + bar.get_width() < start + bins.width - 0.5
    if cut is None:
        assert len({bar.get_facecolor() for bar in axes.patches}) == 1 and not axes.lines
        return
    [line] = axes.lines
    first = axes.patches[0].get_facecolor()
    for bar in axes.patches:
        is_right = bar.get_x() > line.get_xdata()[0]
        assert is_right == (bar.get_facecolor() != first or min(bins.starts) > cut)


def test_ticks_stand_below_their_bars_in_whole_units():
    figure = Figure()
    axes = figure.subplots()
    charts.draw_histogram(axes, charts.bin_counts(Histogram({120: 5, 130: 9, 177: 2})), "seconds", None, per_unit=10)
    figure.draw_without_rendering()
    ticks = {label.get_text(): label.get_position()[0] for label in axes.get_xticklabels()}
    assert {"12", "13", "14"} < set(ticks)
    assert all(place == pytest.approx(float(text)) for text, place in ticks.items())
    bars = {bar.get_height(): bar.get_x() + bar.get_width() / 2 for bar in axes.patches if bar.get_height()}
    assert bars == pytest.approx({5: 12, 9: 13, 2: 17.7})


def test_bars_are_as_long_as_their_counts():
    axes = Figure().subplots()
    charts.draw_bars(axes, {"traffic <light>": 1200, "cat": 300}, "classes")
    assert [bar.get_width() for bar in axes.patches] == [1200, 300]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["traffic <light>", "cat"]
    assert [text.get_text() for text in axes.texts] == ["1,200", "300"]


@pytest.mark.parametrize("title", ["tokens < 3 & more", "costs $5 or $6"])
def test_the_same_numbers_make_the_same_file(title):
    numbers = Histogram({3: 4, 5: 1})
    first, again = (charts.histogram_chart(numbers, title, cut=4) for _ in range(2))
    assert first == again
    assert xml.etree.ElementTree.fromstring(charts.bar_chart({title: 2}, title)).tag.endswith("svg")
