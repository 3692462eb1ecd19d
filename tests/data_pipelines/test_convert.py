"""From COCO's files to records, against an independent reading of the same files; and what all builders share."""

from __future__ import annotations

import collections
import functools
import json
import os
import pathlib
import shutil
import types

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import image_files, images, input_pipeline, prepare, record_index, records
from eval.sources import DatasetImages
from tests.support.converted import left_out, notes

SPLITS = {"train": "train2014", "validation": "val2014"}


def _read(data_dir, split, dataset="coco2014") -> dict[str, records.Record]:
    """The records of a split by image id, through TensorFlow alone."""
    files = sorted(str(path) for path in records.directory(dataset, data_dir).glob(f"{dataset}-{split}.tfrecord*"))
    assert files
    found = [records.parse(serialized) for serialized in tf.data.TFRecordDataset(files)]
    return {record.image_id.numpy().decode(): record for record in found}


def _text(strings: tf.Tensor) -> list[str]:
    return [string.decode() for string in strings.numpy()]


def _edit_captions(source: pathlib.Path, split: str, change) -> None:
    path = source / f"annotations/captions_{split}.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("split", SPLITS)
def test_records_hold_the_source(drawn_source, data_dir, split):
    captions = json.loads((drawn_source / f"annotations/captions_{SPLITS[split]}.json").read_text())
    instances = json.loads((drawn_source / f"annotations/instances_{SPLITS[split]}.json").read_text())
    names = {category["id"]: category["name"] for category in instances["categories"]}
    found = _read(data_dir, split)
    assert set(found) == {str(image["id"]) for image in captions["images"]}
    for image in captions["images"]:
        record = found[str(image["id"])]
        assert record.file_name.numpy().decode() == image["file_name"]
        assert record.image.numpy() == (drawn_source / SPLITS[split] / image["file_name"]).read_bytes()
        assert _text(record.captions) == [
            annotation["caption"] for annotation in captions["annotations"] if annotation["image_id"] == image["id"]
        ]
        assert _text(record.labels) == sorted(
            {names[each["category_id"]] for each in instances["annotations"] if each["image_id"] == image["id"]}
        )


def test_tfds_reads_them_too_and_splits_are_disjoint(data_dir):
    builder = records.open_dataset("coco2014", data_dir)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"train": 45, "validation": 12}
    seen = {
        split: {example["image_id"] for example in builder.as_dataset(split=split).as_numpy_iterator()}
        for split in SPLITS
    }
    assert not seen["train"] & seen["validation"]
    example = next(builder.as_dataset(split="train").as_numpy_iterator())
    assert example["image"].shape == (64, 64, 3)
    assert len(example["captions"]) == 5
    assert notes("coco2014", data_dir) == []


def test_a_second_conversion_does_nothing(drawn_source, data_dir):
    folder = pathlib.Path(records.directory("coco2014", data_dir))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not prepare.convert("coco2014", drawn_source, data_dir)
    assert not prepare.convert("coco2014", "/nowhere", data_dir)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_batch_comes_from_the_source(drawn_source, data_dir):
    batches = input_pipeline.training_batches("coco2014", data_dir, batch_size=8, image_size=32)
    _assert_from_source(next(iter(batches)), drawn_source)


def _assert_from_source(batch: input_pipeline.Batch, source: pathlib.Path) -> None:
    content = json.loads((source / "annotations/captions_train2014.json").read_text())
    file_names = {str(image["id"]): image["file_name"] for image in content["images"]}
    captions = collections.defaultdict(list)
    for annotation in content["annotations"]:
        captions[str(annotation["image_id"])].append(annotation["caption"])
    for image, caption, image_id in zip(batch.image.numpy(), _text(batch.caption), _text(batch.image_id)):
        assert caption in captions[image_id]
        halved = PIL.Image.open(source / "train2014" / file_names[image_id]).reduce(2)
        difference = np.abs(image.astype(int) - np.asarray(halved).astype(int))
        assert difference.mean() < 8, image_id


def test_unfit_captions_are_left_out_and_others_mended(source, tmp_path, caplog):
    path = source / "annotations/captions_val2014.json"
    images = [image["id"] for image in json.loads(path.read_text())["images"]]

    def spoil(content):
        captions = content["annotations"]  # Five an image, in the order of the images.
        captions[0]["caption"] = "  a red\n ball \r\n on\tthe   grass é \n"
        captions[1]["caption"] = " \n"
        captions[2]["caption"] = " a ball "
        captions[3]["caption"] = "a \ud83d ball"
        captions[4]["caption"] = "NOT UTF-8"
        captions[5]["caption"] = 7
        del captions[6]["caption"]
        captions[7]["image_id"] = 999

    _edit_captions(source, "val2014", spoil)
    path.write_bytes(path.read_bytes().replace(b"NOT UTF-8", b"a b\xe4ll"))
    with caplog.at_level("WARNING"):
        prepare.convert("coco2014", source, tmp_path / "data", max_skipped=0.1)
    found = _read(tmp_path / "data", "validation")
    assert len(found) == 12
    assert _text(found[str(images[0])].captions) == ["a red ball on the grass é", "a ball"]
    assert len(found[str(images[1])].captions) == 2
    first, second = (f"COCO_val2014_{image_id:012d}.jpg" for image_id in images[:2])
    assert left_out("coco2014", tmp_path / "data") == [
        ("caption", f"1 of {second}", "caption is not text"),
        ("caption", "1 of image_id 999", "caption of an image that is not listed"),
        ("caption", f"2 of {first}", "empty caption"),
        ("caption", f"2 of {second}", "caption is not text"),
        ("caption", f"4 of {first}", "caption is not UTF-8"),
        ("caption", f"5 of {first}", "caption is not UTF-8"),
    ]
    assert [entry for entry in notes("coco2014", tmp_path / "data") if entry["action"] == "mended"] == [
        _mended(f"1 of {first}", "line break in caption"),
        _mended(f"3 of {first}", "stray spaces in caption"),
    ]
    summary = "2 x caption is not text (caption), 2 x caption is not UTF-8 (caption), 1 x empty caption (caption)"
    assert f"validation: left out: {summary}" in caplog.text
    assert "validation: mended: 1 x stray spaces in caption (caption), 1 x line break in caption (c" in caplog.text


def _mended(name: str, reason: str) -> dict:
    return {
        "split": "validation", "action": "mended", "what": "caption", "name": name, "reason": reason, "detail": ""
    }  # fmt: skip


def test_unfit_images_are_left_out_and_listed(source, tmp_path, caplog):
    train = sorted((source / "train2014").iterdir())
    kept = {path.name: path.read_bytes() for path in train[9:]}
    train[0].write_bytes(train[0].read_bytes()[:-300])
    train[1].unlink()
    train[2].write_bytes(b"no image")
    lost = int(train[3].stem[-12:])
    PIL.Image.open(train[4]).save(train[4], format="ppm")
    train[5].write_bytes(b"")
    train[6].unlink()
    train[6].mkdir()
    content = bytearray(train[7].read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    train[7].write_bytes(content)
    train[8].unlink()

    def change(content):
        content["annotations"] = [each for each in content["annotations"] if each["image_id"] != lost]
        content["images"].append(dict(content["images"][20]))

    _edit_captions(source, "train2014", change)
    with caplog.at_level("WARNING"):
        assert prepare.convert("coco2014", source, tmp_path / "data", max_skipped=0.25)
    assert left_out("coco2014", tmp_path / "data") == [
        ("image", train[0].name, "truncated JPEG"),
        ("image", train[1].name, "missing image"),
        ("image", train[2].name, "unknown or damaged format"),
        ("image", train[3].name, "image without caption"),
        ("image", train[4].name, "unknown or damaged format"),
        ("image", train[5].name, "empty image"),
        ("image", train[6].name, "unreadable image"),
        ("image", train[7].name, "corrupt JPEG"),
        ("image", train[8].name, "missing image"),
        ("image", train[20].name, "duplicate id"),
    ]
    found = {
        record.file_name.numpy().decode(): record.image.numpy() for record in _read(tmp_path / "data", "train").values()
    }
    assert found == kept
    assert (
        "train: left out: 2 x unknown or damaged format (image), 2 x missing image (image), 1 x unreadable"
        in caplog.text
    )
    for name, reason in [
        (train[0].name, "truncated JPEG"),
        (train[5].name, "empty image"),
        (train[1].name, "missing"),
    ]:
        assert f"train, {name}: left out: {reason}" in caplog.text


def test_images_that_are_changed_are_listed_and_names_lead_nowhere_else(source, tmp_path, caplog):
    validation = sorted((source / "val2014").iterdir())
    upright = np.asarray(PIL.Image.open(validation[0]))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # Turned by a quarter.
    PIL.Image.fromarray(np.rot90(upright)).save(validation[0], quality=95, exif=exif)
    PIL.Image.open(validation[1]).quantize(64).save(validation[1], "BMP")
    outside = tmp_path / "outside.jpg"
    shutil.copy(validation[2], outside)

    def lead_out(content):
        content["images"][2]["file_name"] = "../../outside.jpg"
        content["images"][3]["file_name"] = str(outside)

    _edit_captions(source, "val2014", lead_out)
    with caplog.at_level("WARNING"):
        prepare.convert("coco2014", source, tmp_path / "data", max_skipped=0.5)
    assert [(entry["action"], entry["reason"]) for entry in notes("coco2014", tmp_path / "data")] == [
        ("mended", "turned upright"),
        ("mended", "palette expanded"),
        ("mended", "BMP stored as PNG"),
        ("left out", "file outside of the source"),
        ("left out", "file outside of the source"),
    ]
    assert "validation: mended: 1 x turned upright (image), 1 x palette expanded (image), 1 x BMP st" in caplog.text
    found = {record.file_name.numpy().decode(): record for record in _read(tmp_path / "data", "validation").values()}
    turned = images.decode_image(found[validation[0].name].image).numpy()
    assert turned.shape == upright.shape and np.abs(turned.astype(int) - upright).mean() < 4
    listed = {
        split: DatasetImages("coco2014", split, str(tmp_path / "data"), image_size=64, num_captions=5, seed=0).identity
        for split in SPLITS
    }
    assert listed["validation"]["rules"] == image_files.RULES and "rules" not in listed["train"]


def test_the_log_names_the_first_three_of_a_reason(source, tmp_path, caplog):
    train = sorted((source / "train2014").iterdir())
    for path in train[:6]:
        path.unlink()
    with caplog.at_level("WARNING"):
        prepare.convert("coco2014", source, tmp_path / "data", max_skipped=0.2)
    named = [path.name for path in train if path.name in caplog.text]
    assert named == [path.name for path in train[:3]]
    assert "train: left out: 6 x missing image (image)" in caplog.text


def test_too_many_unfit_images_leave_nothing_behind(source, tmp_path):
    train = sorted((source / "train2014").iterdir())
    for path in train[:40]:
        path.write_bytes(path.read_bytes()[:100])
    message = rf"3 of 45 images cannot be used so far, .*5.00% .*3 x .*first: {train[0].name}\): .*max_skipped"
    with pytest.raises(ValueError, match=message) as error:
        prepare.convert("coco2014", source, tmp_path / "data", max_skipped=0.05)
    assert "\n" not in str(error.value)
    _assert_nothing_is_left(tmp_path / "data")


def test_too_many_unfit_captions_fail_too(source, tmp_path):
    def spoil(content):
        for annotation in content["annotations"][1::5]:
            annotation["caption"] = ""

    _edit_captions(source, "val2014", spoil)
    first = sorted((source / "val2014").iterdir())[0].name
    with pytest.raises(ValueError, match=rf"'validation': 7 of 60 captions .*7 x empty caption.*first: 2 of {first}\)"):
        prepare.convert("coco2014", source, tmp_path / "data", max_skipped=0.1)
    _assert_nothing_is_left(tmp_path / "data")


def test_a_split_without_any_use_is_refused(source, tmp_path):
    for path in (source / "val2014").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"'validation' has no image that can be used \(12 x missing image"):
        prepare.convert("coco2014", source, tmp_path / "data", max_skipped=1.0)
    _assert_nothing_is_left(tmp_path / "data")


def _assert_nothing_is_left(data_dir: pathlib.Path) -> None:
    assert not records.is_converted("coco2014", data_dir)
    assert not (data_dir / "coco2014").exists()


def test_too_little_room_is_told_before_anything_is_written(drawn_source, tmp_path, monkeypatch):
    def convert_with(free: float) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=free))
        prepare.convert("coco2014", drawn_source, tmp_path)

    size = sum(path.stat().st_size for path in drawn_source.glob("*2014/*.jpg"))
    written = []
    monkeypatch.setattr(records, "to_example", lambda record: written.append(record))
    with pytest.raises(OSError, match=r"has [\d.]+ MB free, and [\d.]+ MB are needed to convert 57 images") as error:
        convert_with(0.9 * size)
    assert "\n" not in str(error.value) and str(tmp_path / "coco2014") in str(error.value)
    assert not written
    _assert_nothing_is_left(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=1.5 * size))
    assert prepare.convert("coco2014", drawn_source, tmp_path)


def test_relative_folders(drawn_source, data_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(drawn_source.parent)
    relative = os.path.relpath(tmp_path / "data", drawn_source.parent)
    assert prepare.convert("coco2014", drawn_source.name, relative)
    found, expected = (
        next(iter(input_pipeline.training_batches("coco2014", folder, batch_size=4, image_size=16)))
        for folder in (relative, data_dir)
    )
    assert _text(found.image_id) == _text(expected.image_id)


@pytest.mark.parametrize("name", ["incomplete.ABC123_2.0.0", "2.0.0.incompleteABC123"])  # Newer TFDS, and older.
def test_what_a_killed_conversion_left_does_not_harm(drawn_source, data_dir, tmp_path, name):
    remnant = tmp_path / "coco2014" / name
    remnant.mkdir(parents=True)
    (remnant / "coco2014-train.tfrecord-00000-of-00001").write_bytes(b"half")
    assert prepare.convert("coco2014", drawn_source, tmp_path)
    assert not remnant.exists()
    for split in SPLITS:
        name = f"coco2014-{split}.tfrecord-00000-of-00001"
        written = (records.directory("coco2014", folder) / name for folder in (tmp_path, data_dir))
        assert len({path.read_bytes() for path in written}) == 1


def test_several_files_a_split_are_one(drawn_source, data_dir, tmp_path, monkeypatch):
    several_files = functools.partial(tfds.download.DownloadConfig, num_shards=7)
    monkeypatch.setattr(tfds.download, "DownloadConfig", several_files)
    # Larger than a bound, the examples are sorted on the disk instead of in memory.
    monkeypatch.setattr("tensorflow_datasets.core.shuffle.MAX_MEM_BUFFER_SIZE", 20_000)
    assert prepare.convert("coco2014", drawn_source, tmp_path)
    info = records.open_dataset("coco2014", tmp_path).info.splits["train"]
    assert len(info.filepaths) > 3 and len(set(info.shard_lengths)) > 1
    assert not list(records.directory("coco2014", tmp_path).glob("bucket*"))
    whole = next(iter(records.directory("coco2014", data_dir).glob("coco2014-train*")))
    in_one_file = list(tf.data.TFRecordDataset(str(whole)).as_numpy_iterator())
    index = record_index.load(records.directory("coco2014", tmp_path), "train", info.filepaths, info.shard_lengths)
    backwards = index.read(tf.data.Dataset.range(44, -1, -1).batch(8))
    assert list(backwards.as_numpy_iterator()) == in_one_file[::-1]
    batches = input_pipeline.training_batches("coco2014", tmp_path, batch_size=45, image_size=32)
    batch = next(iter(batches))
    assert len(set(_text(batch.image_id))) == 45
    _assert_from_source(batch, drawn_source)
    same = next(iter(input_pipeline.training_batches("coco2014", data_dir, batch_size=45, image_size=32)))
    assert _text(same.caption) == _text(batch.caption)


def test_a_folder_that_no_conversion_finished_is_not_taken_for_records(drawn_source, tmp_path):
    records.directory("coco2014", tmp_path).mkdir(parents=True)
    with pytest.raises(FileExistsError, match=r"2\.0\.0 holds no finished records: remove it"):
        prepare.convert("coco2014", drawn_source, tmp_path)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda source: shutil.rmtree(source), "does not exist"),
        (lambda source: [shutil.rmtree(path) for path in source.iterdir()], "lacks train2014, val2014, annotations/"),
        (lambda source: (source / "annotations/captions_val2014.json").unlink(), "lacks annotations/captions_val2014"),
        (
            lambda source: (source / "annotations/instances_train2014.json").write_text('{"images": ['),
            "is not valid JSON",
        ),
        (lambda source: (source / "annotations/captions_train2014.json").write_text("[]"), "not a COCO annotation"),
    ],
)
def test_a_bad_source_is_refused_in_one_line(source, tmp_path, harm, message):
    harm(source)
    with pytest.raises((FileNotFoundError, ValueError), match=message) as error:
        prepare.convert("coco2014", source, tmp_path / "data")
    assert "\n" not in str(error.value)
    assert not records.is_converted("coco2014", tmp_path / "data")


def test_scenes_prepare_themselves_once(tmp_path):
    assert prepare.prepare_scenes(tmp_path, num_train=6, num_val=2, image_size=64)
    assert len(_read(tmp_path, "train", "scenes")) == 6
    assert len(_read(tmp_path, "validation", "scenes")) == 2
    assert not prepare.prepare_scenes(tmp_path, num_train=6, num_val=2, image_size=64)
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]
