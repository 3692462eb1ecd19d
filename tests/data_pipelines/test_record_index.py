"""The index against records written with TensorFlow's own writer; every way in which it can be wrong."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import record_index

LENGTHS = [3, 0, 5, 1]
NAMES = [f"part{number}" for number in range(len(LENGTHS))]


@pytest.fixture
def folder(tmp_path):
    """Files of records of many lengths, one of them empty; the record with number n begins with n."""
    number = 0
    for name, length in zip(NAMES, LENGTHS):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for _ in range(length):
                writer.write(f"{number}:".encode() + b"x" * (number * 40_000))  # Up to some reads of the buffer.
                number += 1
    return tmp_path


def _load(folder, lengths=LENGTHS):
    return record_index.load(folder, "train", [folder / name for name in NAMES], lengths)


@pytest.mark.parametrize("written", [True, False])
def test_every_record_is_found_by_its_number(folder, written):
    if written:
        record_index.write(folder, "train", NAMES)
        assert {path.name for path in folder.iterdir()} == {*NAMES, "train.index.npy"}
    index = _load(folder)
    expected = list(tf.data.TFRecordDataset([str(folder / name) for name in NAMES]).as_numpy_iterator())
    assert len(index) == len(expected) == sum(LENGTHS)
    order = np.random.default_rng(0).permutation(len(index)).astype(np.int64)
    order = np.tile(order, 10)  # More than are read at once.
    dataset = index.read(tf.data.Dataset.from_tensor_slices(order).batch(7))
    assert list(dataset.as_numpy_iterator()) == [expected[number] for number in order]


def test_records_may_move_with_their_index(folder, tmp_path_factory):
    record_index.write(folder, "train", [folder / name for name in NAMES])
    moved = tmp_path_factory.mktemp("elsewhere") / "records"
    shutil.move(folder, moved)
    (record,) = _load(moved).read(tf.data.Dataset.from_tensors([8])).as_numpy_iterator()
    assert record.startswith(b"8:")


def test_the_index_is_small(folder):
    record_index.write(folder, "train", NAMES)
    assert record_index.path(folder, "train").stat().length == 128 + 8 * sum(LENGTHS)


def _another_count(folder):
    record_index.write(folder, "train", NAMES[:3])


def _other_order(folder):
    record_index.write(folder, "train", NAMES[::-1])


def _offset_beyond_the_end(folder):
    offsets = np.load(folder / "train.index.npy")
    offsets[-1] = 10**9
    np.save(folder / "train.index.npy", offsets)


def _records_written_again(folder):
    with tf.io.TFRecordWriter(str(folder / "part0")) as writer:
        for _ in range(LENGTHS[0]):
            writer.write(b"of another length")


def _cut(folder):
    content = (folder / "train.index.npy").read_bytes()
    (folder / "train.index.npy").write_bytes(content[:-9])


def _empty(folder):
    (folder / "train.index.npy").write_bytes(b"")


def _no_numbers(folder):
    np.save(folder / "train.index.npy", np.zeros([3, 3]))


@pytest.mark.parametrize(
    "spoil",
    [_another_count, _other_order, _offset_beyond_the_end, _records_written_again, _cut, _empty, _no_numbers],
)
def test_an_index_that_does_not_fit_is_refused(folder, spoil):
    record_index.write(folder, "train", NAMES)
    spoil(folder)
    with pytest.raises(ValueError, match=r"train\.index\.npy .*: remove it, and the records will be scanned again$"):
        _load(folder)
    (folder / "train.index.npy").unlink()
    assert len(_load(folder)) == sum(LENGTHS)


@pytest.mark.parametrize("missing", [1, 5, 20])  # Within a checksum, the data, the length of the last record.
def test_files_that_were_cut(folder, missing):
    with tf.io.TFRecordWriter(str(folder / "part3")) as writer:
        writer.write(b"12345")
    content = (folder / "part3").read_bytes()
    (folder / "part3").write_bytes(content[:-missing])
    for call in (lambda: record_index.write(folder, "train", NAMES), lambda: _load(folder)):
        with pytest.raises(
            ValueError, match=r"part3 ends in the middle of a record: remove .* and convert the dataset again$"
        ):
            call()
    assert not (folder / "train.index.npy").exists()


def test_files_that_are_not_what_was_converted(folder):
    with pytest.raises(ValueError, match=r"part2 holds 5 records instead of 6: remove .* and convert"):
        _load(folder, [3, 0, 6, 0])
    record_index.write(folder, "train", NAMES)
    (folder / "part2").unlink()
    with pytest.raises(FileNotFoundError, match=r"part2 is missing: remove .* and convert the dataset again"):
        _load(folder)
