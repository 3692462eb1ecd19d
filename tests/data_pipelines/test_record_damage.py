"""Records that are damaged, replaced, removed or misdescribed: one line names the file and what to do."""

from __future__ import annotations

import json
import pathlib
import re
import shutil

import pytest
import tensorflow as tf

from data_pipelines import input_pipeline, records
from xmcgan import failures


@pytest.fixture
def folder(data_dir, tmp_path, monkeypatch) -> pathlib.Path:
    """A copy of the records to do harm to."""
    monkeypatch.setattr(failures, "_explainers", {})  # Without those of other tests' datasets.
    shutil.copytree(data_dir, tmp_path / "data")
    return pathlib.Path(records.directory("coco2014", tmp_path / "data"))


def _read_all(folder: pathlib.Path) -> None:
    batches = input_pipeline.evaluation_batches(
        "coco2014", "train", folder.parent.parent, batch_size=9, image_size=16, num_captions=45
    )
    for _ in batches:
        pass


def _file(folder: pathlib.Path) -> pathlib.Path:
    (file,) = folder.glob("*train.tfrecord*")
    return file


def _rewrite(folder: pathlib.Path, change) -> None:
    """Writes the records of the training split again, the tenth of them changed, with the same number of bytes."""
    serialized = [each.numpy() for each in tf.data.TFRecordDataset(str(_file(folder)))]
    example = tf.train.Example.FromString(serialized[9])
    change(example.features.feature)
    serialized[9] = example.SerializeToString()
    with tf.io.TFRecordWriter(str(_file(folder))) as writer:
        for each in serialized:
            writer.write(each)
    (folder / "train.index.npy").unlink()


def _flip_bytes(folder: pathlib.Path) -> None:
    content = bytearray(_file(folder).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4] = bytes(byte ^ 255 for byte in content[middle : middle + 4])
    _file(folder).write_bytes(content)


def _drop_captions(folder: pathlib.Path) -> None:
    _rewrite(folder, lambda feature: feature["captions"].bytes_list.ClearField("value"))


def _spoil_image(folder: pathlib.Path) -> None:
    def spoil(feature) -> None:
        feature["image"].bytes_list.value[0] = feature["image"].bytes_list.value[0][:300]

    _rewrite(folder, spoil)


@pytest.mark.parametrize(
    "damage, words",
    [
        (_flip_bytes, r"record \d+ is damaged"),
        (_drop_captions, "record 10 has no readable image, or no captions"),
        (_spoil_image, "record 10 has no readable image, or no captions"),
    ],
)
def test_a_damaged_record_is_named(damage, words, folder):
    damage(folder)
    with pytest.raises(tf.errors.OpError) as raised:
        _read_all(folder)
    line = failures.explanation(raised.value)
    assert line is not None and "\n" not in line
    assert re.fullmatch(rf"{_file(folder)}: {words}: remove {folder} and convert the dataset again", line)


def test_records_that_went_away_or_came_anew(folder):
    records.open_dataset("coco2014", folder.parent.parent)
    error = tf.errors.NotFoundError(None, None, f"{_file(folder)}; No such file or directory")
    assert failures.explanation(error) == (
        f"{folder}: its files changed while they were read: give the same command again"
    )
    assert failures.explanation(tf.errors.InvalidArgumentError(None, None, "Incompatible shapes")) is None
    assert failures.explanation(ValueError("of something else")) is None
    file = _file(folder)
    file.unlink()
    assert failures.explanation(error) == f"{file}: the file is missing: remove {folder} and convert the dataset again"


def _described(change):
    def damage(folder: pathlib.Path) -> None:
        path = folder / "dataset_info.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def _template(template: str):
    return _described(lambda content: [split.update(filepathTemplate=template) for split in content["splits"]])


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "dataset_info.json").write_text(""),
        lambda folder: (folder / "dataset_info.json").write_text("{"),
        lambda folder: (folder / "dataset_info.json").write_text("[]"),
        lambda folder: (folder / "dataset_info.json").write_bytes(b"\xff\x00"),
        lambda folder: (folder / "features.json").write_text("{}"),
        lambda folder: (folder / "features.json").unlink(),
        _described(lambda content: content.pop("splits")),
        _described(lambda content: content["splits"].clear()),
        _described(lambda content: content["splits"].pop([each["name"] for each in content["splits"]].index("train"))),
        _described(lambda content: content["splits"][0].update(shardLengths=["many"])),
        _described(lambda content: content["splits"][0].update(shardLengths=[])),
        _described(lambda content: content["splits"][0].update(shardLengths=["0"])),
        _template("/etc/{SPLIT}"),
        _template("../{SPLIT}.tfrecord"),
        _template("{NOTHING}"),
    ],
)
def test_a_damaged_description_is_one_line_about_its_own_folder(damage, folder):
    damage(folder)
    with pytest.raises(ValueError) as raised:
        _read_all(folder)
    line = str(raised.value)
    assert "\n" not in line and str(folder) in line
    assert line.endswith(f"remove {folder} and convert the dataset again")


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'shape': (1" + b"0" * 90]
)
def test_a_damaged_index_is_named(content, folder):
    (folder / "train.index.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"train\.index\.npy cannot be read: remove it"):
        _read_all(folder)
    (folder / "train.index.npy").write_bytes(bytes(10_000))
    with pytest.raises(ValueError, match=r"train\.index\.npy is not the index of 45 records, but larger: remove it"):
        _read_all(folder)
