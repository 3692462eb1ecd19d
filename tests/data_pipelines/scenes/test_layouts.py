"""The written folder is COCO-14's, field by field, whole, and a pure function of the seed."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from PIL import Image

from data_pipelines.scenes import layouts, spec


def _fingerprints(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_and_fields(drawn_source):
    for split, count in (("train2014", 45), ("val2014", 12)):
        captions = json.loads((drawn_source / f"annotations/captions_{split}.json").read_text())
        instances = json.loads((drawn_source / f"annotations/instances_{split}.json").read_text())
        assert set(captions) == {"info", "images", "licenses", "annotations"}
        assert set(instances) == {"info", "images", "licenses", "annotations", "categories"}
        assert len(captions["images"]) == count and len(captions["annotations"]) == 5 * count
        assert captions["images"] == instances["images"]
        assert [category["name"] for category in instances["categories"]] == list(spec.KINDS)
        for image in captions["images"]:
            assert image["file_name"] == f"COCO_{split}_{image['id']:012d}.jpg"
            with Image.open(drawn_source / split / image["file_name"]) as opened:
                assert opened.format == "JPEG" and opened.size == (image["width"], image["height"]) == (64, 64)
        for content in (captions, instances):
            ids = [annotation["id"] for annotation in content["annotations"]]
            assert len(set(ids)) == len(ids)
        for instance in instances["annotations"]:
            left, top, width, height = instance["bbox"]
            assert min(left, top) >= 0 and left + width <= 64 and top + height <= 64
            assert instance["area"] == width * height


def test_the_same_seed_writes_the_same_bytes_whatever_the_processes(tmp_path):
    for name, seed, processes in (("one", 1, 1), ("two", 1, 2), ("other", 2, 2)):
        layouts.write_coco2014(
            tmp_path / name, num_train=20, num_val=3, seed=seed, image_size=64, num_processes=processes
        )
    assert _fingerprints(tmp_path / "one") == _fingerprints(tmp_path / "two")
    assert _fingerprints(tmp_path / "one") != _fingerprints(tmp_path / "other")


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="is not empty"):
        layouts.write_coco2014(tmp_path, num_train=1, num_val=1)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    with pytest.raises(ValueError, match="at least one scene"):
        layouts.write_coco2014(tmp_path / "new", num_train=0, num_val=1)


def test_what_a_killed_run_left_is_replaced(tmp_path):
    (tmp_path / "scenes.incomplete.0123abcd" / "train2014").mkdir(parents=True)
    layouts.write_coco2014(tmp_path / "scenes", num_train=2, num_val=1, image_size=64)
    assert os.listdir(tmp_path) == ["scenes"]
    assert len(list((tmp_path / "scenes" / "train2014").iterdir())) == 2
