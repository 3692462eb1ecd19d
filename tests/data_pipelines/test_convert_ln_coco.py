"""From the files of LN-COCO to records and a batch, against an independent reading of the same files by json."""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np
import pytest

from data_pipelines import input_pipeline, prepare, records
from data_pipelines.scenes import layouts
from tests.support.converted import assert_spoken, left_out, notes, published, rewrite_line, stored

FOLDERS = {"train": "train2017", "validation": "val2017"}
VALIDATION = "coco_val_localized_narratives.jsonl"


def _published(source: pathlib.Path, split: str) -> dict[str, list[dict]]:
    return published(source.glob(f"coco_{'val' if split == 'validation' else split}_*.jsonl"))


def _convert(source: pathlib.Path, max_skipped: float = 0.0) -> pathlib.Path:
    """Converts into a folder beside the source."""
    data_dir = source.parent / "data"
    assert prepare.convert("ln_coco", source, data_dir, max_skipped=max_skipped)
    return data_dir


def _one_narrative_a_image(source: pathlib.Path) -> tuple[pathlib.Path, list[dict]]:
    """The file of the validation narratives, a line for each of the twelve images."""
    path = source / VALIDATION
    lines = list({line["image_id"]: line for line in map(json.loads, path.read_text().splitlines())}.values())
    assert len(lines) == 12
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path, lines


def _assert_same(found: dict[str, records.Record], expected: dict[str, records.Record]) -> None:
    assert set(found) == set(expected)
    for image_id, record in found.items():
        assert str(record) == str(expected[image_id])  # Arrays among the fields have no `==`.


@pytest.mark.parametrize("split", FOLDERS)
def test_records_hold_the_source(drawn_ln_coco, ln_coco_data_dir, split):
    narratives = _published(drawn_ln_coco, split)
    instances = json.loads((drawn_ln_coco / f"annotations/instances_{FOLDERS[split]}.json").read_text())
    names = {category["id"]: category["name"] for category in instances["categories"]}
    found = stored("ln_coco", ln_coco_data_dir, split)
    assert set(found) == set(narratives)
    for image_id, record in found.items():
        assert record.file_name == f"{int(image_id):012d}.jpg"
        assert record.image == (drawn_ln_coco / FOLDERS[split] / record.file_name).read_bytes()
        assert record.captions == [said["caption"] for said in narratives[image_id]]
        assert record.labels == sorted(
            {names[each["category_id"]] for each in instances["annotations"] if str(each["image_id"]) == image_id}
        )
        assert len(record.narratives) == len(narratives[image_id])
        for narrative, said in zip(record.narratives, narratives[image_id]):
            assert_spoken(narrative, said)
    if split == "train":
        assert {len(record.captions) for record in found.values()} == {1, 2}
    assert left_out("ln_coco", ln_coco_data_dir) == []
    outside = [
        sum(not (0 <= point["x"] <= 1 and 0 <= point["y"] <= 1) for stroke in said["traces"] for point in stroke)
        for of_image in narratives.values()
        for said in of_image
    ]
    noted = [entry for entry in notes("ln_coco", ln_coco_data_dir) if entry["split"] == split]
    assert {entry["reason"] for entry in noted} == {"trace points outside [0, 1] left out"}
    assert sorted(entry["detail"].split()[0] for entry in noted) == sorted(str(count) for count in outside if count)


def test_a_batch_comes_from_the_source(drawn_ln_coco, ln_coco_data_dir):
    narratives = _published(drawn_ln_coco, "train")
    batch = next(iter(input_pipeline.training_batches("ln_coco", ln_coco_data_dir, batch_size=8, image_size=32)))
    assert batch.image.shape == (8, 32, 32, 3)
    for caption, image_id in zip(batch.caption.numpy(), batch.image_id.numpy()):
        assert caption.decode() in [said["caption"] for said in narratives[image_id.decode()]]


def test_without_instances_there_are_no_labels(ln_coco, ln_coco_data_dir):
    shutil.rmtree(ln_coco / "annotations")
    data_dir = _convert(ln_coco)
    for split in FOLDERS:
        expected = stored("ln_coco", ln_coco_data_dir, split)
        _assert_same(stored("ln_coco", data_dir, split), {key: r._replace(labels=[]) for key, r in expected.items()})


def test_joined_files_hold_the_same_as_shards(ln_coco, ln_coco_data_dir):
    shards = sorted(ln_coco.glob("coco_train_localized_narratives-*.jsonl"))
    assert len(shards) == 4
    joined = b"".join(shard.read_bytes() for shard in shards)
    (ln_coco / "coco_train_localized_narratives.jsonl").write_bytes(joined)
    for shard in shards:
        shard.unlink()
    data_dir = _convert(ln_coco)
    for split in FOLDERS:
        _assert_same(stored("ln_coco", data_dir, split), stored("ln_coco", ln_coco_data_dir, split))


def test_captions_only(drawn_ln_coco, ln_coco_data_dir, tmp_path):
    layouts.write_ln_coco(tmp_path / "source", num_train=45, num_val=12, seed=8, image_size=64, captions_only=True)
    shutil.rmtree(tmp_path / "source" / "annotations")
    narratives = _published(tmp_path / "source", "train")
    data_dir = _convert(tmp_path / "source")
    found, full = (stored("ln_coco", folder, "train") for folder in (data_dir, ln_coco_data_dir))
    assert set(found) == set(narratives) == set(full)
    for image_id, record in found.items():
        assert record.captions == [said["caption"] for said in narratives[image_id]]
        assert sorted(record.captions) == sorted(full[image_id].captions)  # In shards they lie in another order.
        assert (record.image, record.labels, record.narratives) == (full[image_id].image, [], [])
    assert notes("ln_coco", data_dir) == []
    assert next(iter(input_pipeline.training_batches("ln_coco", data_dir, batch_size=4, image_size=16)))


def test_bad_lines_are_told_apart_and_good_ones_kept(ln_coco, caplog):
    path, lines = _one_narrative_a_image(ln_coco)
    first = json.dumps(lines[0])
    cut_early, cut_late = first[: first.index('"image_id"')], first[:-40]
    no_caption = {key: value for key, value in lines[3].items() if key != "caption"}
    surrogate = json.dumps({**lines[6], "caption": "SPOILT"}).replace("SPOILT", "a \\ud83d ball")
    not_utf8 = json.dumps({**lines[7], "caption": "SPOILT"}).encode().replace(b"SPOILT", b"a b\xe4ll")
    broken = "  In the \r\n image   there is\ta ball. \n"
    replaced = {
        1: cut_early.encode() + b"\n",
        2: b"[1, 2]\n",
        3: json.dumps([lines[2]]).encode() + b"\n",
        4: no_caption,
        5: {**lines[4], "caption": 5},
        6: {**lines[5], "caption": " \n"},
        7: surrogate.encode() + b"\n",
        8: not_utf8 + b"\n",
        9: {**lines[8], "caption": broken},
        10: {**lines[9], "image_id": "999999"},
        11: {**lines[10], "image_id": int(lines[10]["image_id"])},
    }
    for number, content in replaced.items():
        rewrite_line(path, number, content)
    again = json.dumps({**lines[11], "annotator_id": 3, "caption": f" {lines[11]['caption']}"})
    extra = ["", "   ", json.dumps({**lines[11], "caption": "Another one."}), again, cut_late]
    with path.open("a") as file:
        file.write("\n".join(extra))  # The last one is cut off, without a line break, but the image_id can be read.

    with caplog.at_level("WARNING"):
        data_dir = _convert(ln_coco, max_skipped=0.9)
    expected = [
        (1, "JSON line cut off or without image_id"),
        (2, "JSON line cut off or without image_id"),
        (3, "not a narrative"),
        (4, "not a narrative"),
        (5, "caption is not text"),
        (6, "empty caption"),
        (7, "caption is not UTF-8"),
        (8, "caption is not UTF-8"),
        (16, "duplicate narrative"),
        (17, "JSON line cut off or broken"),
    ]
    skipped = left_out("ln_coco", data_dir)
    assert [each for each in skipped if each[0] == "caption"] == sorted(
        ("caption", f"{VALIDATION}:{number}", reason) for number, reason in expected
    )
    uncaptioned = [f"{int(line['image_id']):012d}.jpg" for line in [lines[0], *lines[2:8]]]
    images = [("image", name, "image without caption") for name in uncaptioned]
    images.append(("image", "000000999999.jpg", "missing image"))
    assert [each for each in skipped if each[0] == "image"] == sorted(images)
    found = stored("ln_coco", data_dir, "validation")
    assert set(found) == {line["image_id"] for line in [lines[8], *lines[10:]]}
    assert found[lines[8]["image_id"]].captions == ["In the image there is a ball."]
    assert found[lines[11]["image_id"]].captions == [lines[11]["caption"], "Another one."]
    assert_spoken(found[lines[10]["image_id"]].narratives[0], lines[10])
    assert f"{VALIDATION}:9: mended: line break in caption" in caplog.text
    assert "validation: left out: " in caplog.text and "2 x caption is not UTF-8 (caption)" in caplog.text
    assert "train: left out" not in caplog.text


def test_bad_times_and_traces_cost_a_narrative_no_more_than_these(ln_coco, caplog):
    path, lines = _one_narrative_a_image(ln_coco)
    good = [{"x": 0.25, "y": 0.5, "t": 0.1}, {"x": 1.0, "y": 0.0, "t": 0.2}]
    outside = [{"x": -0.1, "y": 0.5, "t": 0.0}, *good, {"x": 0.5, "y": 1.01, "t": 0.3}]
    word = {"utterance": "ball", "start_time": 0.0, "end_time": 1.0}
    unreadable = [
        {"traces": [[{"x": "left", "y": 0.5, "t": 0.0}]]},
        {"traces": [[{"x": float("nan"), "y": 0.5, "t": 0.0}]]},
        {"traces": [[{"x": 0.5, "t": 0.0}]]},
        {"traces": [[{"x": 0.5, "y": 0.5, "t": 1e12}]]},
        {"traces": [[{"x": 10**400, "y": 0.5, "t": 0.0}]]},
        {"timed_caption": [{**word, "utterance": 7}]},
        {"timed_caption": [{"utterance": "ball"}]},
        {"timed_caption": "ball"},
        {"timed_caption": [{**word, "utterance": "a \ud83d"}]},
    ]
    replaced = [
        *unreadable,
        {"traces": []},
        {"traces": [[], outside, [{"x": 2, "y": 2, "t": 1}], good]},
    ]
    for number, change in enumerate(replaced, start=1):
        rewrite_line(path, number, {**lines[number - 1], **change})
    with caplog.at_level("WARNING"):
        data_dir = _convert(ln_coco)
    found = stored("ln_coco", data_dir, "validation")
    assert {image_id: record.captions for image_id, record in found.items()} == {
        line["image_id"]: [line["caption"]] for line in lines
    }
    noted = [entry for entry in notes("ln_coco", data_dir) if entry["split"] == "validation"]
    reasons = {int(entry["name"].rpartition(":")[2]): (entry["action"], entry["reason"]) for entry in noted}
    for number in range(1, len(unreadable) + 1):
        assert reasons[number] == ("mended", "unreadable times or traces"), unreadable[number - 1]
        assert found[lines[number - 1]["image_id"]].narratives == []
    traceless = found[lines[9]["image_id"]].narratives[0]
    assert reasons[10] == ("kept", "narrative without traces")
    assert len(traceless.utterances) == len(lines[9]["timed_caption"]) and traceless.points.shape == (0, 3)
    mended = found[lines[10]["image_id"]].narratives[0]
    assert reasons[11] == ("mended", "trace points outside [0, 1] left out")
    assert mended.stroke_lengths.tolist() == [2, 2]
    np.testing.assert_allclose(mended.points, 2 * [(0.25, 0.5, 0.1), (1, 0, 0.2)], atol=1e-6)
    assert next(entry["detail"] for entry in noted if entry["name"].endswith(":11")) == "3 of 7 points"
    assert "validation: kept: 1 x narrative without traces (caption)" in caplog.text


def test_unfit_images_are_left_out(ln_coco):
    images = sorted((ln_coco / "val2017").iterdir())
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:-200])
    data_dir = _convert(ln_coco, max_skipped=0.2)
    assert left_out("ln_coco", data_dir) == [
        ("image", images[0].name, "missing image"),
        ("image", images[1].name, "truncated JPEG"),
    ]
    assert {r.file_name for r in stored("ln_coco", data_dir, "validation").values()} == {p.name for p in images[2:]}


def test_too_many_unfit_narratives_leave_nothing_behind(ln_coco):
    path = ln_coco / VALIDATION
    path.write_bytes(b"{}\n{\n" + path.read_bytes())
    with pytest.raises(ValueError, match=rf"'validation': 2 of \d+ captions .*2 x JSON line.*first: {VALIDATION}:1\)"):
        _convert(ln_coco, max_skipped=0.1)
    assert list((ln_coco.parent / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda source: (source / VALIDATION).unlink(), r"lacks coco_val_localized_narratives\*.jsonl \(or coco_val_c"),
        (lambda source: shutil.rmtree(source / "train2017"), "lacks train2017/: unpack"),
        (
            lambda source: (source / "coco_train_localized_narratives-00002-of-00004.jsonl").unlink(),
            "lacks coco_train_localized_narratives-00002-of-00004.jsonl: download",
        ),
        (lambda source: (source / VALIDATION).write_text(""), r"'validation' has no image .* \(it is empty\)"),
        (lambda source: [path.unlink() for path in (source / "val2017").iterdir()], "12 images cannot be used"),
        (lambda source: (source / "annotations/instances_val2017.json").write_text("{"), "is not valid JSON"),
    ],
)
def test_a_bad_source_is_refused_in_one_line(ln_coco, harm, message):
    harm(ln_coco)
    with pytest.raises((FileNotFoundError, ValueError), match=message) as error:
        _convert(ln_coco)
    assert "\n" not in str(error.value)
    assert not records.is_converted("ln_coco", ln_coco.parent / "data")
