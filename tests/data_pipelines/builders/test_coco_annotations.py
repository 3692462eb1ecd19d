"""COCO's annotation files, as published and as other tools write them."""

from __future__ import annotations

import json

import pytest
from etils import epath

from data_pipelines.builders import coco_annotations

IMAGES = [{"id": 7, "file_name": "7.jpg"}, {"id": 8, "file_name": "8.jpg"}]
CAPTIONS = {"images": IMAGES, "annotations": [{"image_id": 7, "caption": "a ball"}, {"image_id": 8, "caption": None}]}
INSTANCES = {"categories": [{"id": 1, "name": "ball"}], "annotations": [{"image_id": 7, "category_id": 1}]}


def _file(folder, content) -> epath.Path:
    path = epath.Path(folder) / "given.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.mark.parametrize("convert", [int, str, float, "{:012d}".format], ids=["int", "str", "float", "padded"])
def test_ids_are_joined_by_value(tmp_path, convert):
    """Whatever type each file, or each list in it, writes its ids in."""
    annotations = [{**each, "image_id": convert(each["image_id"])} for each in CAPTIONS["annotations"]]
    images, issues = coco_annotations.read_captions(_file(tmp_path, {**CAPTIONS, "annotations": annotations}))
    assert [image.captions for image in images] == [["a ball"], [None]] and not issues
    instances = {**INSTANCES, "annotations": [{"image_id": convert(7), "category_id": convert(1)}]}
    labels = coco_annotations.read_labels(_file(tmp_path, instances))
    assert labels[coco_annotations.id_value(images[0].image_id)] == ("ball",)


def test_ids_that_are_names_stay_as_they_are():
    assert [coco_annotations.id_value(each) for each in ("a7", "-7", "", "0", "00", "7a", 0)] == [
        *("a7", "-7", "", "0", "0", "7a", "0")
    ]


def test_a_byte_order_mark_is_skipped(tmp_path):
    for encoding in ("utf-8", "utf-8-sig"):
        path = _file(tmp_path, json.dumps(CAPTIONS).encode(encoding))
        assert coco_annotations.read_captions(path)[0][0].captions == ["a ball"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({**CAPTIONS, "images": [IMAGES[0], {"id": 8, "file_name": 5}]}, "images[1].file_name: expected str, got int"),
        ({**CAPTIONS, "images": [{"id": 8, "file_name": None}]}, "images[0].file_name: expected str, got null"),
        ({**CAPTIONS, "images": [{"id": None, "file_name": ""}]}, "images[0].id: expected int | float | str, got null"),
        ({**CAPTIONS, "images": [{"id": 8, "file_name": "\ud800.jpg"}]}, "images[0].file_name is not text"),
        ({**CAPTIONS, "annotations": [{}]}, "annotations[0]: object missing required field image_id"),
        ({**CAPTIONS, "annotations": [{"image_id": []}]}, "annotations[0].image_id: expected"),
        ({**CAPTIONS, "annotations": {}}, "annotations: expected array, got object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"images": [' + b"7" * 5_000 + b"]}", "a number has thousands of digits"),
        (b'{"images": [', "is not valid JSON"),
    ],
    ids=str,
)
def test_captions_of_another_form_are_refused_by_their_place(tmp_path, content, place):
    path = _file(tmp_path, content)
    with pytest.raises(ValueError) as error:
        coco_annotations.read_captions(path)
    assert str(error.value).startswith(str(path)) and place in str(error.value)
    assert len(str(error.value)) < 500 and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({**INSTANCES, "categories": [{"id": 1, "name": 5}]}, "categories[0].name: expected str, got int"),
        ({**INSTANCES, "categories": [{"id": 1, "name": None}]}, "categories[0].name: expected str, got null"),
        ({**INSTANCES, "categories": [{"id": 1, "name": "\udfff"}]}, "categories[0].name is not text"),
        ({**INSTANCES, "categories": []}, "annotations[0].category_id: there is no category 1"),
    ],
    ids=str,
)
def test_instances_of_another_form_are_refused_by_their_place(tmp_path, content, place):
    path = _file(tmp_path, content)
    with pytest.raises(ValueError) as error:
        coco_annotations.read_labels(path)
    assert str(error.value).startswith(str(path)) and place in str(error.value)


def test_labels_that_fit_no_image_are_told(caplog):
    coco_annotations.warn_of_foreign_labels(epath.Path("i.json"), ["7"], ["7", "8"])
    assert not caplog.text
    coco_annotations.warn_of_foreign_labels(epath.Path("i.json"), ["9"], ["7", "8"])
    assert "i.json has objects of 1 images, none of which is in this split" in caplog.text
