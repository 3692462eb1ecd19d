"""Batches against an independent reading by json and Pillow; the same stream from any start, on any hosts, cached."""

from __future__ import annotations

import io
import itertools
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipelines import image_source, input_pipeline, record_index, records, stream
from tests.support.parallelism import check_stays_parallel

SIZE = 32
NUM_TRAIN, NUM_VAL = 45, 12
ATOL = 2.5  # Levels: two JPEG decoders differ by 2, and half a one is rounded.


def _batches(data_dir, number, **options):
    options = {"batch_size": 8, "image_size": SIZE, "seed": 5, **options}
    dataset = input_pipeline.training_batches("coco2014", data_dir, **options)
    return list(itertools.islice(dataset.as_numpy_iterator(), number))


def _flat(batches):
    return [
        (image, caption.decode(), image_id.decode()) for batch in batches for image, caption, image_id in zip(*batch)
    ]


@pytest.fixture(scope="module")
def truth(drawn_source):
    """Image, [SIZE, SIZE, 3] levels of 0 to 255, and captions by image id."""
    found = {}
    for split in ("train2014", "val2014"):
        content = json.loads((drawn_source / f"annotations/captions_{split}.json").read_text())
        for image in content["images"]:
            data = (drawn_source / split / image["file_name"]).read_bytes()
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64)
            # Bilinear sampling at half the size is the mean of two by two pixels.
            halved = pixels.reshape(SIZE, 2, SIZE, 2, 3).mean(axis=(1, 3))
            captions = [each["caption"] for each in content["annotations"] if each["image_id"] == image["id"]]
            found[str(image["id"])] = (halved, captions)
    return found


def test_batches_show_the_source(data_dir, truth):
    batches = _batches(data_dir, 12)
    for batch in batches:
        assert batch.image.shape == (8, SIZE, SIZE, 3) and batch.image.dtype == np.uint8
    told = set()
    for image, caption, image_id in _flat(batches):
        expected, captions = truth[image_id]
        np.testing.assert_allclose(image, expected, atol=ATOL)
        told.add(captions.index(caption))
    assert told == set(range(5)), "every caption has its turn"


def test_every_epoch_shows_every_image_once_in_its_own_order(data_dir):
    ids = [image_id for _, _, image_id in _flat(_batches(data_dir, 3 * NUM_TRAIN, batch_size=1))]
    epochs = [ids[start : start + NUM_TRAIN] for start in range(0, 3 * NUM_TRAIN, NUM_TRAIN)]
    for epoch in epochs:
        assert len(set(epoch)) == NUM_TRAIN
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    other = [image_id for _, _, image_id in _flat(_batches(data_dir, NUM_TRAIN, batch_size=1, seed=6))]
    assert other != epochs[0]


@pytest.fixture(scope="module")
def whole(data_dir):
    return _batches(data_dir, 20, random_flip=True)


@pytest.mark.parametrize("start", [0, 1, 4, 5, 6, 11, 17])  # 45 images: batch 5 spans two epochs.
def test_a_late_start_goes_on_exactly(data_dir, whole, start):
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


def test_many_files(data_dir, monkeypatch, tmp_path):
    index = input_pipeline._index("coco2014", "train", data_dir)
    serialized = list(tf.data.TFRecordDataset(index.files).as_numpy_iterator())
    parts = [str(tmp_path / f"part{number}") for number in range(20)]
    for number, part in enumerate(parts):
        with tf.io.TFRecordWriter(part) as writer:
            for record in serialized[number::20]:
                writer.write(record)
    lengths = [len(serialized[number::20]) for number in range(20)]
    monkeypatch.setattr(input_pipeline, "_index", lambda *_: record_index.load(tmp_path, "train", parts, lengths))
    whole = _flat(_batches(data_dir, 2 * NUM_TRAIN, batch_size=1))
    ids = [image_id for _, _, image_id in whole]
    assert set(ids[:NUM_TRAIN]) == set(ids[NUM_TRAIN:]) and len(set(ids)) == NUM_TRAIN
    late = _flat(_batches(data_dir, NUM_TRAIN, batch_size=1, start_batch=30))
    assert [each[1:] for each in late] == [each[1:] for each in whole[30 : 30 + NUM_TRAIN]]


@pytest.mark.parametrize(
    "hosts, replicas",
    [(1, 2), (2, 4), (3, 3), pytest.param(2, 2, marks=pytest.mark.slow), pytest.param(4, 4, marks=pytest.mark.slow)],
)
def test_hosts_share_the_stream_and_read_their_rows_alone(hosts, replicas, data_dir, monkeypatch):
    batch_size, number = 12, 9  # Over three epochs.
    options = {"batch_size": batch_size, "random_flip": True, "start_batch": 2}
    whole = _batches(data_dir, number, **options)
    serialized = tf.data.TFRecordDataset(input_pipeline._index("coco2014", "train", data_dir).files)
    ids = list(serialized.map(lambda record: records.parse(record).image_id).as_numpy_iterator())
    read = []

    def recording(index, image_size, geometry):
        def note(numbers):
            read.extend(numbers.tolist())
            return numbers

        def noted(numbers):
            return tf.ensure_shape(tf.numpy_function(note, [numbers], tf.int64), [batch_size // hosts])

        source = image_source.reread(index, image_size, geometry)
        # Ends behind the last batch, so that nothing is read ahead.
        return source._replace(fetch=lambda numbers: source.fetch(numbers.take(number).map(noted)))

    monkeypatch.setitem(input_pipeline.CACHES, "none", recording)
    shares, turns = [], replicas // hosts
    for host in range(hosts):
        read.clear()
        parts = _batches(data_dir, number * turns, context=tf.distribute.InputContext(hosts, host, replicas), **options)
        assert [len(part.image) for part in parts] == [batch_size // replicas] * number * turns
        by_batch = [parts[first : first + turns] for first in range(0, len(parts), turns)]
        shares.append([input_pipeline.Batch(*map(np.concatenate, zip(*of_batch))) for of_batch in by_batch])
        assert len(read) == number * batch_size // hosts
        assert [ids[record] for record in read] == [image_id for batch in shares[-1] for image_id in batch.image_id]
    for batch, *of_hosts in zip(whole, *shares):
        for expected, *actual in zip(batch, *of_hosts):
            np.testing.assert_array_equal(np.concatenate(actual), expected)


@pytest.mark.parametrize("size", [1_000, 82_783])
def test_orders_are_like_drawn_ones(size):
    places = np.arange(size)
    orders = [stream.record_numbers(tf.constant(epoch * size + places), size, seed=3).numpy() for epoch in range(4)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), places)
    # Uncorrelated with each other, with the order of the files, and from one place to the next.
    pairs = [*itertools.combinations([places, *orders], 2), *((order[:-1], order[1:]) for order in orders)]
    for one, other in pairs:
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / np.sqrt(size)
        differences = len(np.unique((one - other) % size)) / len(one)
        assert differences == pytest.approx(1 - np.exp(-1), abs=1.5 / np.sqrt(size))


def test_lots_are_fixed_by_seed_and_position():
    def lots(seed, first, rows):
        return stream.random_numbers(seed, tf.constant(first, tf.int64), rows).numpy()

    together = lots(3, 100, 50_000)
    np.testing.assert_array_equal(together[20:50], np.concatenate([lots(3, 120 + row, 1) for row in range(30)]))
    assert not (lots(4, 100, 50_000) == together).any()
    np.testing.assert_allclose(together.mean(axis=0) / 2**32, 0.5, atol=0.006)
    for column in together.T:
        np.testing.assert_allclose(np.bincount(column % 5) / len(column), 0.2, atol=0.008)


def test_the_stream_has_no_end(data_dir):
    for cache in input_pipeline.CACHES:
        dataset = input_pipeline.training_batches("coco2014", data_dir, batch_size=4, image_size=SIZE, cache=cache)
        assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
        assert dataset.element_spec.image.shape == [4, SIZE, SIZE, 3]  # What tf.distribute is quickest with.


@pytest.mark.slow
def test_it_stays_parallel_where_operations_are_deterministic(data_dir):
    check_stays_parallel(
        "from data_pipelines import input_pipeline",
        f'next(iter(input_pipeline.training_batches("coco2014", "{data_dir}", batch_size=2, image_size=8, '
        "random_flip=True)))",
    )


def test_replicas_that_cannot_share_a_batch(data_dir):
    with pytest.raises(ValueError, match="not divisible"):
        _batches(data_dir, 1, context=tf.distribute.InputContext(1, 0, 3))


def test_decoding_once_gives_the_same_stream(data_dir, monkeypatch):
    options = {"random_flip": True, "start_batch": 3}
    expected = _batches(data_dir, 12, **options)
    monkeypatch.setattr(image_source, "_CHUNK", 7)  # 45 images are several.
    dataset = input_pipeline.training_batches(
        "coco2014", data_dir, batch_size=8, image_size=SIZE, seed=5, cache="memory", **options
    )
    # From here on nothing is decoded, nor read.
    monkeypatch.setattr(image_source, "_decode", None)
    for batch, cached in zip(expected, dataset.as_numpy_iterator()):
        for one, other in zip(batch, cached):
            np.testing.assert_array_equal(one, other)


def test_a_cache_larger_than_the_memory_is_refused(data_dir, monkeypatch):
    monkeypatch.setattr(image_source, "free_memory", lambda: 100_000)
    with pytest.raises(ValueError, match=r"^config.data.cache='memory' needs 0.0 GB for 45 images of 32 px, .*=none$"):
        _batches(data_dir, 1, cache="memory")
    image_source.check_memory([82_783, 256, 256, 3], 20_000_000_000)
    with pytest.raises(
        ValueError, match=r"needs 16.3 GB for 82,783 .* more than 90% of the 18.0 GB that are free: set"
    ):
        image_source.check_memory([82_783, 256, 256, 3], 18_000_000_000)


def test_free_memory_of_a_container(monkeypatch, tmp_path):
    of_machine = image_source.free_memory()
    assert 0 < of_machine <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(image_source, "_CONTAINER", tmp_path)
    (tmp_path / "memory.stat").write_text("anon 3000\nfile 900000\n")
    (tmp_path / "memory.max").write_text("10000\n")
    assert image_source.free_memory() == 7000
    (tmp_path / "memory.max").write_text("max\n")
    assert image_source.free_memory() > 10000


def test_half_the_images_are_flipped(data_dir, truth):
    flipped = []
    for image, _, image_id in _flat(_batches(data_dir, 25, random_flip=True)):
        expected, _ = truth[image_id]
        plain, mirrored = np.abs(image - expected).max(), np.abs(image[:, ::-1] - expected).max()
        assert min(plain, mirrored) < ATOL
        flipped.append(mirrored < plain)
    assert 0.35 < np.mean(flipped) < 0.65


@pytest.mark.parametrize("num_captions", [5, pytest.param(NUM_VAL, marks=pytest.mark.slow), 3 * NUM_VAL + 4])
def test_evaluation_list(data_dir, truth, num_captions):
    def pairs(batch_size, seed=0, cache="none", first=0):
        dataset = input_pipeline.evaluation_batches(
            "coco2014",
            "validation",
            data_dir,
            batch_size=batch_size,
            image_size=SIZE,
            num_captions=num_captions,
            seed=seed,
            first=first,
            cache=cache,
        )
        batches = list(dataset.as_numpy_iterator())
        assert len(batches) == dataset.cardinality() == -(-(num_captions - first) // batch_size)
        return _flat(batches)

    found = pairs(batch_size=7)
    assert len(found) == num_captions
    assert len({(image_id, caption) for _, caption, image_id in found}) == num_captions, "no pair comes twice"
    turns = {image_id: sum(image_id == other for _, _, other in found) for _, _, image_id in found}
    assert max(turns.values()) - min(turns.values()) <= 1
    for image, caption, image_id in found:
        expected, captions = truth[image_id]
        np.testing.assert_allclose(image, expected, atol=ATOL)
        assert caption in captions
    assert [pair[1:] for pair in pairs(batch_size=3)] == [pair[1:] for pair in found]
    assert [pair[1:] for pair in pairs(batch_size=7, cache="memory")] == [pair[1:] for pair in found]
    assert [pair[1:] for pair in pairs(batch_size=7, seed=1)] != [pair[1:] for pair in found]
    assert [pair[1:] for pair in pairs(batch_size=2, first=3)] == [pair[1:] for pair in found[3:]]

    listed = input_pipeline.evaluation_captions("coco2014", "validation", data_dir, num_captions=num_captions)
    assert list(zip(listed.captions, listed.image_ids)) == [pair[1:] for pair in found]


def test_counts(data_dir):
    assert input_pipeline.num_examples("coco2014", "train", data_dir) == NUM_TRAIN
    assert input_pipeline.num_examples("coco2014", "validation", data_dir) == NUM_VAL


def test_errors(data_dir, tmp_path):
    command = r"python -m data_pipelines.convert --dataset=coco2014 --source=<.*> --data_dir="
    with pytest.raises(FileNotFoundError, match=command):
        input_pipeline.num_examples("coco2014", "train", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"data_pipelines.convert --dataset=scenes --data_dir="):
        _ = input_pipeline.training_batches("scenes", tmp_path, batch_size=1, image_size=SIZE)
    with pytest.raises(ValueError, match="start_batch=-1"):
        _batches(data_dir, 1, start_batch=-1)
    with pytest.raises(ValueError, match="cache='disk' is unknown: choose one of none, memory"):
        _batches(data_dir, 1, cache="disk")
    with pytest.raises(ValueError, match="num_captions=0"):
        input_pipeline.evaluation_batches(
            "coco2014", "validation", data_dir, batch_size=1, image_size=SIZE, num_captions=0
        )
