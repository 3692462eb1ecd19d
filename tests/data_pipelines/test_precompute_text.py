"""Features that were stored, against the encoder itself; runs that were cut; whatever does not fit."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import encode_captions, input_pipeline, records, text_feature_files, text_features
from data_pipelines.datasets import preset
from tests.support.parallelism import check_stays_parallel
from xmcgan import files, handles
from xmcgan.models.text_encoder import TextEncoder

FILES, SIZE = 4, 16
COMMAND = r"`python -m data_pipelines.precompute_text --dataset=scenes --data_dir=\S+"


def _config(**changes):
    config = preset("scenes")
    config.data = dataclasses.replace(config.data, image_size=SIZE)
    for name, value in changes.items():
        setattr(config.data if name == "text_length" else config.text, name, value)
    return config


def _encoder(config, data_dir) -> TextEncoder:
    folders = handles.resolve_text(config.text, data_dir)
    return TextEncoder(*folders, config.data.text_length, config.text.sentence_pooling)


def _folder(config, data_dir) -> pathlib.Path:
    return pathlib.Path(text_feature_files.folder("scenes", data_dir, text_feature_files.identify(config, data_dir)))


def _contents(folder) -> dict[str, bytes]:
    """All files but the description, which tells where the encoder was."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


@pytest.fixture(scope="module")
def data_dir(scenes_dir, tmp_path_factory) -> pathlib.Path:
    """The scenes, their training records in several files."""
    data_dir = tmp_path_factory.mktemp("in_files")
    shutil.copytree(scenes_dir / "scenes" / "bert", data_dir / "scenes" / "bert")
    info = records.open_dataset("scenes", scenes_dir).info
    folder = data_dir / "scenes" / records.VERSION
    folder.mkdir()
    serialized = list(tf.data.TFRecordDataset(info.splits["train"].filepaths).as_numpy_iterator())
    lengths = [len(serialized[number::FILES]) for number in range(FILES)]
    for number in range(FILES):
        with tf.io.TFRecordWriter(str(folder / f"scenes-train.tfrecord-{number:05d}-of-{FILES:05d}")) as writer:
            for record in serialized[number::FILES]:
                writer.write(record)
    split = tfds.core.SplitInfo(name="train", shard_lengths=lengths, num_bytes=0)
    tfds.folder_dataset.write_metadata(
        data_dir=folder, features=records.features(), split_infos=[split], check_data=False
    )
    return data_dir


@pytest.fixture(scope="module")
def encoder(data_dir) -> TextEncoder:
    return _encoder(_config(), data_dir)


@pytest.fixture(scope="module")
def encoded(data_dir, encoder) -> pathlib.Path:
    """A data_dir with the features of all training captions."""
    assert encode_captions.encode_captions(_config(), data_dir, encoder)
    return data_dir


@pytest.fixture
def copy(encoded, tmp_path) -> pathlib.Path:
    """One to do harm to."""
    return shutil.copytree(encoded, tmp_path / "copy")


def _batches(data_dir, number, **options):
    options = {"batch_size": 8, "image_size": SIZE, "seed": 5, "random_flip": True, **options}
    return list(itertools.islice(input_pipeline.training_batches("scenes", data_dir, **options), number))


def _assert_close(text, expected) -> None:
    """To half a unit in the last place of float16; the words' padding is nothing."""
    np.testing.assert_array_equal(text.lengths, expected.lengths)
    real = tf.sequence_mask(expected.lengths, expected.words.shape[1], tf.float32)[..., tf.newaxis]
    for stored, exact in ((text.sentence, expected.sentence), (text.words, expected.words * real)):
        assert stored.dtype == tf.float16
        np.testing.assert_allclose(tf.cast(stored, tf.float32), exact, rtol=2**-11 + 1e-5, atol=1e-6)


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_batch_comes_with_the_features_of_its_captions(encoded, encoder, cache):
    stored = text_feature_files.load(_config(), encoded)
    plain = _batches(encoded, 12, start_batch=3)
    batches = _batches(encoded, 12, start_batch=3, cache=cache, stored_text=stored)
    for batch, expected in zip(batches, plain):
        for field in input_pipeline.Batch._fields:
            np.testing.assert_array_equal(getattr(batch, field), getattr(expected, field))
        _assert_close(batch.text, encoder(expected.caption))


@pytest.mark.parametrize("pooling", ["sum_over_length", pytest.param("pooled_output", marks=pytest.mark.slow)])
def test_other_poolings_and_lengths(copy, pooling):
    config = _config(sentence_pooling=pooling, text_length=9)  # Most captions are cut.
    encoder = _encoder(config, copy)
    assert encode_captions.encode_captions(config, copy, encoder)
    for batch in _batches(copy, 2, stored_text=text_feature_files.load(config, copy)):
        _assert_close(batch.text, encoder(batch.caption))


def test_hosts_read_the_features_of_their_rows(encoded):
    stored = text_feature_files.load(_config(), encoded)
    whole = _batches(encoded, 5, stored_text=stored)
    shares = [
        _batches(encoded, 5, stored_text=stored, context=tf.distribute.InputContext(2, host, 2)) for host in range(2)
    ]
    for batch, *of_hosts in zip(whole, *shares):
        for field, expected in batch.text._asdict().items():
            np.testing.assert_array_equal(np.concatenate([getattr(part.text, field) for part in of_hosts]), expected)


def test_what_is_stored(encoded, encoder):
    folder = _folder(_config(), encoded)
    names = {path.name for path in folder.parents[1].glob("scenes-train*")}
    assert len(names) == FILES
    assert {path.name for path in folder.iterdir()} == {*names, "train.index.npy", "train.json"}
    told = json.loads((folder / "train.json").read_text())
    assert told["fingerprint"].startswith(folder.name) and (told["dim"], told["pictures"]) == (128, 60)
    captions = [
        caption.decode()
        for example in records.open_dataset("scenes", encoded).as_dataset(split="train").as_numpy_iterator()
        for caption in example["captions"]
    ]
    rows = len(captions) + int(tf.reduce_sum(encoder.tokenize(tf.constant(captions))["input_mask"]))
    size = sum((folder / name).stat().st_size for name in names)
    assert 2 * 128 * rows < size < 2 * 128 * rows + 300 * 60, "two bytes a number, and little more"


def test_a_second_run_does_nothing(encoded):
    folder = _folder(_config(), encoded)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not encode_captions.encode_captions(_config(), encoded, encoder=None)
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_cut_run_is_gone_on_with(encoded, copy, encoder, monkeypatch):
    config, folder = _config(), _folder(_config(), copy)
    whole = _contents(folder)
    shutil.rmtree(folder)
    serialize, left = text_features.serialize, iter(range(40))  # Into the third file, of 15 images.

    def until_cut(text):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return serialize(text)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(text_features, "serialize", until_cut)
        encode_captions.encode_captions(config, copy, encoder)
    finished = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.name in whole}
    assert len(finished) == 2
    with pytest.raises(FileNotFoundError, match=rf"unfinished: resume with {COMMAND}`"):
        text_feature_files.load(config, copy)
    assert encode_captions.encode_captions(config, copy, encoder)
    assert _contents(folder) == whole
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())


def test_no_room(copy, encoder, monkeypatch):
    shutil.rmtree(_folder(_config(), copy))
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(OSError, match=r"[\d.]+ MB free, and [\d.]+ MB .* store the text features of 60 images"):
        encode_captions.encode_captions(_config(), copy, encoder)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2 * 10**6))
    assert encode_captions.encode_captions(_config(), copy, encoder)


def test_none_are_stored(scenes_dir):
    with pytest.raises(FileNotFoundError, match=rf"no text features of dataset 'scenes' .*: make them with {COMMAND}`"):
        text_feature_files.load(_config(), scenes_dir)


def test_features_of_another_config(copy):
    config = _config(text_length=20)
    told = r"were made with config\.data\.text_length=17, not 20"
    with pytest.raises(ValueError, match=rf"{told}: .* {COMMAND} --config\.data\.text_length=20`$"):
        text_feature_files.load(config, copy)
    config.text.sentence_pooling = "sum_over_length"
    with pytest.raises(ValueError, match=rf"{told} and config\.text\.sentence_pooling='mean', not 'sum_over_length': "):
        text_feature_files.load(config, copy)


def test_features_of_another_encoder(copy, tmp_path):
    other = shutil.copytree(copy / "scenes" / "bert" / "encoder", tmp_path / "encoder")
    for folder in (other, copy / "scenes" / "bert" / "encoder"):
        graph = folder / "saved_model.pb"
        graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=rf"with config\.text\.encoder='\S+', not '{other}': .*--config\.text\.enc"):
        text_feature_files.load(_config(encoder=str(other)), copy)
    for description in (copy / "scenes" / records.VERSION).glob("text_features/*/train.json"):
        told = json.loads(description.read_text())  # As if they had been made where they are now.
        told["handles"] = {name: str(copy / "scenes" / "bert" / name) for name in told["handles"]}
        description.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"with config\.text\.encoder='\S+encoder', which has changed since: make"):
        text_feature_files.load(_config(), copy)


def test_damaged_features(copy):
    folder = _folder(_config(), copy)
    victim = next(folder.glob("scenes-train*"))
    content = victim.read_bytes()
    victim.write_bytes(content[:-9])
    with pytest.raises(ValueError, match=rf"damaged: \S+ does not match .*: remove {folder}, and make .* {COMMAND}`$"):
        text_feature_files.load(_config(), copy)
    victim.unlink()
    with pytest.raises(ValueError, match=rf"damaged: \S+ is missing: remove {folder}, and make"):
        text_feature_files.load(_config(), copy)


def test_features_of_other_records(copy):
    folder = _folder(_config(), copy)
    first, second, *_ = sorted(folder.glob("scenes-train*"))
    first.write_bytes(second.read_bytes())
    (folder / "train.index.npy").unlink()
    with pytest.raises(
        ValueError, match=rf"do not belong to these records \(image \d+\): remove {folder}, and make them"
    ):
        text_feature_files.load(_config(), copy)


@pytest.mark.slow
def test_it_stays_parallel_where_operations_are_deterministic(encoded):
    check_stays_parallel(
        "from data_pipelines import input_pipeline, text_feature_files\n"
        "from data_pipelines.datasets import preset\n"
        f'stored = text_feature_files.load(preset("scenes"), "{encoded}")',
        f'next(iter(input_pipeline.training_batches("scenes", "{encoded}", stored_text=stored, batch_size=2, '
        "image_size=8, random_flip=True)))",
    )
