"""Batches against an independent reading by json and Pillow; exact resumption at any place."""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipelines import input_pipeline

SIZE = 32
NUM_TRAIN, NUM_VAL = 45, 12


def _batches(data_dir, number, **options):
    options = {"batch_size": 8, "image_size": SIZE, "shuffle_buffer": 16, "seed": 5, **options}
    dataset = input_pipeline.training_batches("coco2014", data_dir, **options)
    return list(itertools.islice(dataset.as_numpy_iterator(), number))


def _flat(batches):
    return [
        (image, caption.decode(), image_id.decode()) for batch in batches for image, caption, image_id in zip(*batch)
    ]


@pytest.fixture(scope="module")
def truth(drawn_source):
    """Picture [SIZE, SIZE, 3] in [0, 1] and captions by image id."""
    found = {}
    for split in ("train2014", "val2014"):
        content = json.loads((drawn_source / f"annotations/captions_{split}.json").read_text())
        for image in content["images"]:
            data = (drawn_source / split / image["file_name"]).read_bytes()
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64) / 255
            # Bilinear sampling at half the size is the mean of two by two pixels.
            halved = pixels.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))
            captions = [each["caption"] for each in content["annotations"] if each["image_id"] == image["id"]]
            found[str(image["id"])] = (halved, captions)
    return found


def test_batches_show_the_source(data_dir, truth):
    batches = _batches(data_dir, 12)
    for batch in batches:
        assert batch.image.shape == (8, SIZE, SIZE, 3) and batch.image.dtype == np.float32
        assert batch.image.min() >= 0 and batch.image.max() <= 1
    told = set()
    for image, caption, image_id in _flat(batches):
        picture, captions = truth[image_id]
        np.testing.assert_allclose(image, picture, atol=2 / 255)
        told.add(captions.index(caption))
    assert told == set(range(5)), "every caption has its turn"


def test_every_epoch_shows_every_picture_once_in_its_own_order(data_dir):
    ids = [image_id for _, _, image_id in _flat(_batches(data_dir, 3 * NUM_TRAIN, batch_size=1))]
    epochs = [ids[start : start + NUM_TRAIN] for start in range(0, 3 * NUM_TRAIN, NUM_TRAIN)]
    for epoch in epochs:
        assert len(set(epoch)) == NUM_TRAIN
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    other = [image_id for _, _, image_id in _flat(_batches(data_dir, NUM_TRAIN, batch_size=1, seed=6))]
    assert other != epochs[0]


@pytest.mark.parametrize("start", [0, 1, 4, 5, 6, 11, 17])  # 45 pictures: batch 5 spans two epochs.
def test_a_late_start_goes_on_exactly(data_dir, start):
    whole = _batches(data_dir, 20, random_flip=True)
    late = _batches(data_dir, 20 - start, random_flip=True, start_batch=start)
    for expected, actual in zip(whole[start:], late):
        for field in input_pipeline.Batch._fields:
            np.testing.assert_array_equal(getattr(actual, field), getattr(expected, field))


def test_the_stream_does_not_depend_on_the_batch_size(data_dir):
    by_eight = _flat(_batches(data_dir, 12, random_flip=True))
    by_hundred = _flat(_batches(data_dir, 1, batch_size=96, random_flip=True))  # More than two epochs in one batch.
    for one, other in zip(by_eight, by_hundred):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1:] == other[1:]


def test_many_files_are_read_in_another_order_each_epoch_and_resumed(data_dir, monkeypatch, tmp_path):
    files, size = input_pipeline._files("coco2014", "train", data_dir)
    serialized = list(tf.data.TFRecordDataset(files).as_numpy_iterator())
    parts = [str(tmp_path / f"part{number}") for number in range(20)]  # More than are read at once.
    for number, part in enumerate(parts):
        with tf.io.TFRecordWriter(part) as writer:
            for record in serialized[number::20]:
                writer.write(record)
    monkeypatch.setattr(input_pipeline, "_files", lambda *_: (parts, size))
    whole = _flat(_batches(data_dir, 2 * NUM_TRAIN, batch_size=1, shuffle_buffer=1))
    ids = [image_id for _, _, image_id in whole]
    assert set(ids[:NUM_TRAIN]) == set(ids[NUM_TRAIN:]) and len(set(ids)) == NUM_TRAIN
    assert ids[:NUM_TRAIN] != ids[NUM_TRAIN:], "not shuffled but by the order of the files"
    late = _flat(_batches(data_dir, NUM_TRAIN, batch_size=1, shuffle_buffer=1, start_batch=30))
    assert [each[1:] for each in late] == [each[1:] for each in whole[30 : 30 + NUM_TRAIN]]


def test_half_the_pictures_are_flipped(data_dir, truth):
    flipped = []
    for image, _, image_id in _flat(_batches(data_dir, 25, random_flip=True)):
        picture, _ = truth[image_id]
        plain, mirrored = np.abs(image - picture).max(), np.abs(image[:, ::-1] - picture).max()
        assert min(plain, mirrored) < 2 / 255
        flipped.append(mirrored < plain)
    assert 0.35 < np.mean(flipped) < 0.65


@pytest.mark.parametrize("num_captions", [5, NUM_VAL, 3 * NUM_VAL + 4])
def test_evaluation_list(data_dir, truth, num_captions):
    def pairs(batch_size, seed=0):
        dataset = input_pipeline.evaluation_batches(
            "coco2014",
            "validation",
            data_dir,
            batch_size=batch_size,
            image_size=SIZE,
            num_captions=num_captions,
            seed=seed,
        )
        batches = list(dataset.as_numpy_iterator())
        assert len(batches) == dataset.cardinality() == -(-num_captions // batch_size)
        return _flat(batches)

    found = pairs(batch_size=7)
    assert len(found) == num_captions
    assert len({(image_id, caption) for _, caption, image_id in found}) == num_captions, "no pair comes twice"
    turns = {image_id: sum(image_id == other for _, _, other in found) for _, _, image_id in found}
    assert max(turns.values()) - min(turns.values()) <= 1
    for image, caption, image_id in found:
        picture, captions = truth[image_id]
        np.testing.assert_allclose(image, picture, atol=2 / 255)
        assert caption in captions
    assert [pair[1:] for pair in pairs(batch_size=3)] == [pair[1:] for pair in found]
    assert [pair[1:] for pair in pairs(batch_size=7, seed=1)] != [pair[1:] for pair in found]


def test_counts(data_dir):
    assert input_pipeline.num_examples("coco2014", "train", data_dir) == NUM_TRAIN
    assert input_pipeline.num_examples("coco2014", "validation", data_dir) == NUM_VAL


def test_errors(data_dir, tmp_path):
    command = r"python -m data_pipelines.convert --dataset=coco2014 --source=<folder with train2014/.*> --data_dir="
    with pytest.raises(FileNotFoundError, match=command):
        input_pipeline.num_examples("coco2014", "train", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"data_pipelines.convert --dataset=scenes --data_dir="):
        _ = input_pipeline.training_batches("scenes", tmp_path, batch_size=1, image_size=SIZE)
    with pytest.raises(ValueError, match="start_batch=-1"):
        _batches(data_dir, 1, start_batch=-1)
    with pytest.raises(ValueError, match="num_captions=0"):
        input_pipeline.evaluation_batches(
            "coco2014", "validation", data_dir, batch_size=1, image_size=SIZE, num_captions=0
        )
