"""The sheet: well-formed, escaped, self-contained, and true to the records."""

from __future__ import annotations

import base64
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from data_pipelines import prepare, records
from data_pipelines.inspection import charts, report, samples, sheet


class Checker(html.parser.HTMLParser):
    """Collects elements, and holds that all are closed in order."""

    EMPTY = frozenset(["meta", "img"])

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def _check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    for tag, attributes in checker.elements:
        assert tag not in ("link", "iframe", "object") and not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#") and attributes.get("src", "data:").startswith("data:")
    assert [tag for tag, _ in checker.elements].count("script") == 1
    assert not re.search(r"https?://|url\(", page)
    return checker


def _render(dataset, data_dir, token_counter, text_length, number=99, hint=""):
    splits = report.choose_splits(dataset, data_dir, None)
    found = report.inspect(dataset, data_dir, splits, text_length, token_counter)
    drawn = samples.draw(records.open_dataset(dataset, data_dir), found.folder, splits, number, seed=0)
    return found, drawn, sheet.render(found, drawn, token_counter, hint)


@pytest.fixture
def without_charts(monkeypatch):
    """They take longest to draw: `test_captions` has those of a sheet, test_charts all kinds of them."""
    for name in ("histogram_chart", "bar_chart"):
        monkeypatch.setattr(charts, name, lambda *_, **__: "<svg/>")


def test_captions(varied_data_dir, token_counter):
    found, drawn, page = _render("coco2014", varied_data_dir, token_counter, 50)
    checker = _check(page)
    assert len(drawn) == 44 + 12
    captions = [caption for sample in drawn for caption in sample.record.captions]
    assert any("<script>" in caption for caption in captions)
    text = "".join(checker.texts)
    assert all(caption in text for caption in captions)
    items = [attributes for tag, attributes in checker.elements if tag == "li"]
    assert len(items) == len(captions)
    off = sum(len(c.split()) - token_counter.words_kept(c, 50) for c in captions)
    assert sum(attributes.get("class") == "off" for tag, attributes in checker.elements if tag == "span") == off > 0
    sources = [attributes["src"] for tag, attributes in checker.elements if tag == "img" and "class" not in attributes]
    assert len(sources) == len(drawn)
    for source, sample in zip(sources, drawn):
        shown = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        meant = Image.open(io.BytesIO(sample.record.image))
        assert shown.size == meant.size
        assert np.abs(np.asarray(shown, float) - np.asarray(meant.convert("RGB"), float)).mean() < 8
    verdicts = [
        attributes["class"] for _, attributes in checker.elements if attributes.get("class") in ("agrees", "differs")
    ]
    assert verdicts == ["agrees" if each.agrees else "differs" for each in found.comparisons]
    assert "44 of 82,783 images published" in text
    assert "truncated JPEG" in text or "corrupt JPEG" in text


def test_narratives(ln_coco_data_dir, token_counter, without_charts):
    found, drawn, page = _render("ln_coco", ln_coco_data_dir, token_counter, 64)
    checker = _check(page)
    told = sum(len(sample.record.narratives) for sample in drawn)
    assert told > len(drawn) and told == sum(split.num_captions for split in found.splits.values())
    groups = [attributes for tag, attributes in checker.elements if tag == "g"]
    assert len(groups) == told
    assert sum("shown" in attributes["class"] for attributes in groups) == len(drawn)
    words = [attributes for tag, attributes in checker.elements if tag == "span" and "data-u" in attributes]
    lines = [attributes for tag, attributes in checker.elements if tag == "polyline" and "data-u" in attributes]
    captions = [caption for sample in drawn for caption in sample.record.captions]
    assert len(words) == sum(
        len(caption.split()) for caption in captions
    )  # Drawn narratives are timed to the last one.
    for attributes in [*words, *lines]:
        assert 0 <= float(attributes["style"].partition(":")[2]) <= 1
    coordinates = np.array([pair.split(",") for each in lines for pair in each["points"].split()], float)
    assert coordinates.min() >= 0 and coordinates.max() <= 1000
    assert "Words and traces are colored by their time" in page


def test_without_tokens_and_samples(varied_data_dir, without_charts):
    found, _, page = _render("coco2014", varied_data_dir, None, 17, number=0, hint="Tokens are <not> counted")
    checker = _check(page)
    text = "".join(checker.texts)
    assert "Tokens are <not> counted" in text and "not counted" in report.to_text(found)
    assert "tokens per caption, mean" in text and "cut at 17" not in re.sub("captions cut at 17", "", text)
    assert not any(tag == "article" for tag, _ in checker.elements)


def test_scenes_have_no_numbers_in_the_paper(tmp_path, without_charts):
    prepare.prepare_scenes(tmp_path, num_train=6, num_val=2, image_size=64)
    found, _, page = _render("scenes", tmp_path, None, 17, number=2)
    assert found.comparisons == []
    for text in ("".join(_check(page).texts), report.to_text(found)):
        assert "The paper has no numbers for scenes." in text
        assert "Nothing was left out or mended." in text


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    path = tmp_path / "new" / "sheet.html"
    assert sheet.check_output(path) == str(path)
    assert path.parent.is_dir() and not path.exists()
    with pytest.raises(ValueError, match="is a folder: name a file in it"):
        sheet.check_output(tmp_path)


def test_a_place_that_cannot_be_written_to_is_known_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # As on a read-only disk.
    with pytest.raises(OSError, match="cannot be written to: name the files with --sheet and --output"):
        sheet.check_output(tmp_path / "sheet.html")
