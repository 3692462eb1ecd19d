"""From source files to records, against an independent reading of the same files by json."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

from data_pipelines import prepare, records
from data_pipelines.builders import coco2014

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


def _skipped(data_dir) -> list[dict]:
    lines = (records.directory("coco2014", data_dir) / records.SKIPPED_FILE).read_text().splitlines()
    return [json.loads(line) for line in lines]


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
    assert _skipped(data_dir) == []


def test_a_second_conversion_does_nothing(drawn_source, data_dir):
    folder = records.directory("coco2014", data_dir)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not prepare.convert("coco2014", drawn_source, data_dir)
    assert not prepare.convert("coco2014", "/nowhere", data_dir)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_captions_are_cleaned(source, tmp_path):
    def spoil(content):
        content["annotations"][0]["caption"] = "  a red\n ball \r\n on\tthe   grass é \n"
        content["annotations"][1]["caption"] = " \n"

    _edit_captions(source, "val2014", spoil)
    image_id = json.loads((source / "annotations/captions_val2014.json").read_text())["annotations"][0]["image_id"]
    prepare.convert("coco2014", source, tmp_path / "data")
    captions = _text(_read(tmp_path / "data", "validation")[str(image_id)].captions)
    assert captions[0] == "a red ball on the grass é"
    assert len(captions) == 4
    assert [entry["reason"] for entry in _skipped(tmp_path / "data")] == ["empty caption"]


def test_unfit_pictures_are_left_out_and_listed(source, tmp_path, caplog):
    train = sorted((source / "train2014").iterdir())
    train[0].write_bytes(train[0].read_bytes()[:-300])
    train[1].unlink()
    train[2].write_bytes(b"no picture")
    lost = int(train[3].stem[-12:])

    def forget(content):
        content["annotations"] = [each for each in content["annotations"] if each["image_id"] != lost]

    _edit_captions(source, "train2014", forget)
    with caplog.at_level("WARNING"):
        assert prepare.convert("coco2014", source, tmp_path / "data", max_skipped=0.1)
    reasons = {entry["file_name"]: entry["reason"] for entry in _skipped(tmp_path / "data")}
    assert set(reasons) == {path.name for path in train[:4]}
    assert reasons[train[0].name] in ("truncated JPEG", "corrupt JPEG")
    assert [reasons[path.name] for path in train[1:4]] == ["missing picture", "not a JPEG", "no caption"]
    assert len(_read(tmp_path / "data", "train")) == 41
    assert "skipped 4 of 45 pictures" in caplog.text and train[1].name in caplog.text


def test_too_many_unfit_pictures_leave_nothing_behind(source, tmp_path):
    for path in sorted((source / "train2014").iterdir())[:3]:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"3 of 45 pictures cannot be used .*max_skipped"):
        prepare.convert("coco2014", source, tmp_path / "data", max_skipped=0.05)
    assert not records.is_converted("coco2014", tmp_path / "data")
    assert [path.name for path in (tmp_path / "data" / "coco2014").iterdir()] == [".lock"]


def test_what_a_killed_conversion_left_does_not_harm(drawn_source, data_dir, tmp_path):
    remnant = tmp_path / "coco2014" / "incomplete.ABC123_1.0.0"
    remnant.mkdir(parents=True)
    (remnant / "coco2014-train.tfrecord-00000-of-00001").write_bytes(b"half")
    assert prepare.convert("coco2014", drawn_source, tmp_path)
    assert not remnant.exists()
    for split in SPLITS:
        name = f"coco2014-{split}.tfrecord-00000-of-00001"
        written = (records.directory("coco2014", folder) / name for folder in (tmp_path, data_dir))
        assert len({path.read_bytes() for path in written}) == 1


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda source: shutil.rmtree(source), "does not exist"),
        (lambda source: [shutil.rmtree(path) for path in source.iterdir()], "lacks train2014, val2014, annotations/"),
        (lambda source: (source / "annotations/captions_val2014.json").unlink(), "lacks annotations/captions_val2014"),
        (lambda source: (source / "annotations/instances_train2014.json").write_text('{"images": ['), "not valid JSON"),
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


def test_command_line(drawn_source, tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "data_pipelines.convert", "--dataset=coco2014", f"--data_dir={tmp_path}"]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    failed = run(f"--source={tmp_path / 'nowhere'}")
    assert failed.returncode != 0
    assert failed.stderr.splitlines()[-1].startswith("error: source folder")
    assert "Traceback" not in failed.stderr
    done = run(f"--source={drawn_source}")
    assert done.returncode == 0 and "converted: 45 train, 12 validation pictures" in done.stdout
    assert coco2014.Coco2014.name == "coco2014"
