"""Verdicts on the published numbers of images and captions, and on too few of them."""

from __future__ import annotations

import pytest

from data_pipelines.inspection import table1
from data_pipelines.inspection.histograms import Histogram
from data_pipelines.inspection.split_statistics import SplitStatistics


def _statistics(captions: dict[int, int], mean_length: float) -> SplitStatistics:
    """Of images by their number of captions, with captions of two lengths, ten words apart."""
    total = sum(number * images for number, images in captions.items())
    long = round(total * (mean_length - 5) / 50)
    words = Histogram({5: total - long, 55: long})
    return SplitStatistics(captions=Histogram(captions), words=words)


FULL = {
    # 414,113 and 202,654 captions.
    "coco2014": {
        "train": _statistics({5: 82_585, 6: 198}, 10.5),
        "validation": _statistics({5: 40_370, 6: 134}, 10.4),
    },
    "ln_coco": {
        "train": _statistics({1: 102_302, 2: 15_985}, 41.8),
        "validation": _statistics({1: 1_427, 2: 3_573}, 42.5),
    },
    "ln_openimages": {
        "train": _statistics({1: 501_382, 2: 3_031}, 35.6),
        "validation": _statistics({1: 41_549, 2: 71}, 35.0),
    },
}


def _verdicts(dataset, splits) -> dict[tuple[str, str], table1.Comparison]:
    return {(each.split, each.what.split()[0]): each for each in table1.compare(dataset, splits)}


@pytest.mark.parametrize("dataset", FULL)
def test_what_is_published_agrees_in_number_and_length(dataset):
    found = _verdicts(dataset, FULL[dataset])
    assert len(found) == 6
    for split in ("train", "validation"):
        assert found[split, "samples"].agrees and found[split, "average"].agrees
        assert "agrees: all" in found[split, "samples"].verdict
    assert table1.describe_gaps(dataset, FULL[dataset]) == ""


def test_table1_counts_narratives():
    found = _verdicts("ln_coco", FULL["ln_coco"])
    assert found["train", "samples"].ours == "134,272" and found["train", "samples"].paper == "134k"
    assert found["train", "samples"].why == "all narratives published, on 118,287 images"
    captions = found["train", "captions"]
    assert (captions.ours, captions.paper) == ("1.14", "1")
    assert captions.verdict == ("differs: 15,985 of 118,287 images have several narratives, each a sample of Table 1")
    assert found["train", "average"].ours == "41.8"
    # In Open Images hardly any image has several.
    assert _verdicts("ln_openimages", FULL["ln_openimages"])["train", "captions"].agrees


def test_a_few_may_be_left_out():
    for images, agrees in ((82_000, True), (81_900, False), (83_600, True), (83_700, False)):
        found = _verdicts("coco2014", {"train": _statistics({5: images}, 10.5)})
        assert found["train", "samples"].agrees == agrees, images
        assert found["train", "captions"].agrees
    assert found["train", "samples"].verdict == "differs: more than the 82,783 images published"


def test_a_sample_differs_plainly():
    found = _verdicts("coco2014", {"train": _statistics({1: 40, 5: 40}, 12.5)})
    assert found["train", "samples"].verdict == "differs: 80 of 82,783 images published"
    assert found["train", "captions"].verdict == "differs: from 1 to 5"
    assert found["train", "average"].verdict == "differs: 19% longer"


def test_what_the_paper_does_not_have():
    some = _statistics({5: 100}, 10.5)
    assert table1.compare("scenes", {"train": some}) == []
    assert table1.describe_gaps("scenes", {"train": some}) == "The paper has no numbers for scenes."
    assert {each.split for each in table1.compare("ln_openimages", {"train": some, "test": some})} == {"train"}
    assert table1.describe_gaps("ln_openimages", {"train": some, "test": some}) == (
        "The paper's Table 1 has no split 'test' of ln_openimages."
    )
