"""Charts, by the numbers that they carry and the places of what is drawn."""

from __future__ import annotations

import collections
import xml.etree.ElementTree

import numpy as np
import pytest

from data_pipelines.inspection import charts


def _rectangles(svg: str):
    root = xml.etree.ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox").split())
    found = []
    for rectangle in root.iter("rect"):
        x, y, w, h = (float(rectangle.get(name)) for name in ("x", "y", "width", "height"))
        assert x >= 0 and x + w <= width and y >= 0 and y + h <= height
        found.append((rectangle, x, w, h))
    for text in root.iter("text"):
        assert 0 <= float(text.get("x")) <= width and 0 <= float(text.get("y")) <= height
    return root, found


def _count(rectangle) -> int:
    return int(rectangle.find("title").text.rpartition(": ")[2].replace(",", ""))


@pytest.mark.parametrize("cut", [None, 5, 17, 64, 500])
@pytest.mark.parametrize("spread", [1, 8, 200])
def test_histograms_count_everything_once(cut, spread):
    numbers = np.random.default_rng(0).integers(10, 10 + spread, 3000)
    svg = charts.histogram(collections.Counter(numbers.tolist()), "tokens < 3 & more", cut=cut)
    root, rectangles = _rectangles(svg)
    assert sum(_count(rectangle) for rectangle, *_ in rectangles) == 3000
    heights = np.array([height for *_, height in rectangles])
    counted = np.array([_count(rectangle) for rectangle, *_ in rectangles])
    np.testing.assert_allclose(heights, counted / counted.max() * heights.max(), atol=0.1)
    beyond = sum(_count(rectangle) for rectangle, *_ in rectangles if rectangle.get("class") == "beyond")
    assert beyond == (0 if cut is None else (numbers > cut).sum())
    assert root.find("text").text == "tokens < 3 & more"
    for line in root.iter("line"):
        if line.get("class") == "cut":
            for rectangle, x, width, _ in rectangles:
                is_right = x + width / 2 > float(line.get("x1"))
                assert is_right == (rectangle.get("class") == "beyond")


def test_ticks_stand_below_their_bars():
    svg = charts.histogram({120: 5, 130: 9, 177: 2}, "seconds", per_unit=10)
    root, rectangles = _rectangles(svg)
    bars = {rectangle.find("title").text: x + width / 2 for rectangle, x, width, _ in rectangles}
    ticks = {text.text: float(text.get("x")) for text in root.iter("text") if text.get("class") == "tick"}
    assert list(ticks) == ["12", "13", "14", "15", "16", "17"]
    assert ticks["13"] == pytest.approx(bars["13: 9"], abs=0.2)


def test_bars_are_as_long_as_their_counts():
    root, rectangles = _rectangles(charts.bars({"traffic <light>": 1200, "cat": 300}, "classes"))
    lengths = [width for _, _, width, _ in rectangles]
    assert lengths[0] == pytest.approx(4 * lengths[1], abs=0.2)
    assert [text.text for text in root.iter("text")] == ["classes", "traffic <light>", "1,200", "cat", "300"]
