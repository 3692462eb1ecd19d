"""One pass over the records, against a reading of their sources by json and Pillow."""

from __future__ import annotations

import collections
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipelines import records
from data_pipelines.builders import skipped
from data_pipelines.inspection import samples
from data_pipelines.inspection.split_statistics import measure_split
from data_pipelines.inspection.summaries import summarize
from tests.support import converted, letters


def _clean(caption: str) -> str:
    return " ".join(caption.split())


def _percentiles(values) -> list[float]:
    return [float(np.percentile(values, percent, method="inverted_cdf")) for percent in (0, 50, 90, 99, 100)]


def _spread(values) -> dict[str, float]:
    names = ("smallest", "p50", "p90", "p99", "largest")
    return pytest.approx({"mean": np.mean(values), **dict(zip(names, _percentiles(values)))})


@pytest.mark.parametrize(("split", "folder"), [("train", "train2014"), ("validation", "val2014")])
def test_images_and_captions(varied_source, varied_data_dir, token_counter, split, folder):
    annotations = varied_source / "annotations"
    images = json.loads((annotations / f"captions_{folder}.json").read_text())
    instances = json.loads((annotations / f"instances_{folder}.json").read_text())
    files, sizes, lost = {}, {}, set()
    for image in images["images"]:
        path = varied_source / folder / image["file_name"]
        try:
            with Image.open(path) as opened:
                opened.load()
                sizes[image["id"]] = opened.size
                files[image["id"]] = path.stat().st_size
        except OSError:
            lost.add(image["id"])
    assert len(lost) == (split == "train")
    captions = collections.defaultdict(list)
    for each in images["annotations"]:
        if each["image_id"] not in lost:
            captions[each["image_id"]].append(_clean(each["caption"]))
    names = {category["id"]: category["name"] for category in instances["categories"]}
    seen = {(each["image_id"], names[each["category_id"]]) for each in instances["annotations"]}
    labels = collections.Counter(name for image_id, name in seen if image_id not in lost)

    builder = records.open_dataset("coco2014", varied_data_dir)
    found = measure_split(builder, split, token_counter)
    flat = [caption for of_image in captions.values() for caption in of_image]
    assert found.num_images == len(files) and found.num_captions == len(flat)
    assert found.captions == collections.Counter(map(len, captions.values()))
    assert found.sizes == collections.Counter(sizes.values())
    assert found.num_bytes == sum(files.values())
    assert found.words == collections.Counter(len(caption.split()) for caption in flat)
    assert found.tokens == collections.Counter(map(letters.num_tokens, flat))
    assert found.labels == labels
    assert found.num_labelled == len({image_id for image_id, _ in seen} - lost)
    assert not found.points and not found.deciseconds

    sums = summarize(found, text_length=50)
    tokens = np.array([letters.num_tokens(caption) for caption in flat])
    assert sums["words_per_caption"] == _spread([len(caption.split()) for caption in flat])
    assert sums["tokens_per_caption"] == _spread(tokens)
    assert sums["cut"] == {"text_length": 50, "share": pytest.approx((tokens > 50).mean())}
    assert 0 < sums["cut"]["share"] < 1
    by_area = sorted(sizes.values(), key=lambda size: (size[0] * size[1], size))
    median = by_area[(len(by_area) - 1) // 2]
    image_size = sums["picture_size"]
    assert [image_size[name] for name in ("smallest", "median", "largest")] == [
        list(by_area[0]), list(median), list(by_area[-1])
    ]  # fmt: skip
    assert image_size["mean_megapixels"] == pytest.approx(np.mean([x * y for x, y in sizes.values()]) / 1e6)
    assert sums["kilobytes_per_picture"]["p90"] == pytest.approx(_percentiles(list(files.values()))[2] / 1000, abs=0.1)
    assert sums["narratives"] is None
    assert json.loads(json.dumps(sums))["bytes"] == sum(files.values())


def test_narratives(drawn_ln_coco, ln_coco_data_dir):
    published = converted.published(drawn_ln_coco.glob("coco_train_localized_narratives*.jsonl"))
    told = [narrative for of_image in published.values() for narrative in of_image]
    found = measure_split(records.open_dataset("ln_coco", ln_coco_data_dir), "train")
    assert found.captions == collections.Counter(map(len, published.values()))
    assert not found.tokens
    points = [
        sum(0 <= point["x"] <= 1 and 0 <= point["y"] <= 1 for stroke in each["traces"] for point in stroke)
        for each in told
    ]
    assert found.points == collections.Counter(points)
    sums = summarize(found, 64)["narratives"]
    assert sums["share_timed"] == 1 and sums["share_traced"] == np.mean(np.array(points) > 0)
    assert sums["points_per_trace"] == _spread([number for number in points if number])
    lengths = [max(word["end_time"] for word in each["timed_caption"]) for each in told]
    assert sums["seconds"]["mean"] == pytest.approx(np.mean(lengths), abs=0.1)
    assert sums["seconds"]["p99"] == pytest.approx(_percentiles(lengths)[3], abs=0.101)


def test_words_kept_are_those_before_the_cut(token_counter):
    caption = "ab, cde f! ghij"  # 3, 3, 2 and 4 tokens, and two around.
    kept = {length: token_counter.words_kept(caption, length) for length in (3, 4, 5, 7, 8, 9, 10, 13, 14, 99)}
    assert kept == {3: 0, 4: 0, 5: 1, 7: 1, 8: 2, 9: 2, 10: 3, 13: 3, 14: 4, 99: 4}
    assert token_counter.count(tf.constant([caption, "", "a"])).numpy().tolist() == [14, 2, 3]


def test_kinds_of_notes(varied_data_dir, ln_coco_data_dir):
    left_out, mended = skipped.read_kinds(records.directory("coco2014", varied_data_dir), ["train", "validation"])
    assert left_out[:2] == ("train", "left out") and left_out.count == 1
    assert mended.reason == "stray spaces in caption" and mended.names == [mended.names[0]]
    assert skipped.read_kinds(records.directory("coco2014", varied_data_dir), ["validation"]) == []
    entries = converted.notes("ln_coco", ln_coco_data_dir)
    kinds = skipped.read_kinds(records.directory("ln_coco", ln_coco_data_dir), ["train", "validation"])
    counted = collections.Counter((each["split"], each["action"], each["what"], each["reason"]) for each in entries)
    assert {kind[:4]: kind.count for kind in kinds} == counted
    assert all(len(kind.names) == min(kind.count, 5) for kind in kinds)
    assert skipped.read_kinds(pathlib.Path("/nowhere"), ["train"]) == []


def test_samples_are_whole_records_by_lot(ln_coco_data_dir):
    builder = records.open_dataset("ln_coco", ln_coco_data_dir)
    folder = records.directory("ln_coco", ln_coco_data_dir)
    drawn = samples.draw(builder, folder, ["train", "validation"], 9, seed=3)
    assert [sample.split for sample in drawn] == ["train"] * 5 + ["validation"] * 4
    for split in ("train", "validation"):
        stored = converted.stored("ln_coco", ln_coco_data_dir, split)
        ids = [sample.record.image_id for sample in drawn if sample.split == split]
        assert len(set(ids)) == len(ids)
        for sample in drawn:
            if sample.split == split:
                assert sample.record.image == stored[sample.record.image_id].image
                assert sample.record.captions == stored[sample.record.image_id].captions
                assert len(sample.record.narratives) == len(sample.record.captions)
    names = [[each.record.image_id for each in samples.draw(builder, folder, ["train"], 9, seed)] for seed in (3, 3, 4)]
    assert names[0] == names[1] != names[2]
    assert len(samples.draw(builder, folder, ["validation"], 99, seed=0)) == 12
    assert samples.draw(builder, folder, ["train", "validation"], 0, seed=0) == []
