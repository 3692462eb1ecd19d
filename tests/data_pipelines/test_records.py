"""What is written comes back, through TFDS and through the graph."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import records


def _jpeg() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (7, 5), "teal").save(buffer, "jpeg")
    return buffer.getvalue()


def _narrative(seed: int, num_utterances: int, stroke_lengths: Sequence[int]) -> records.Narrative:
    """One whose numbers are as fine as what is stored."""
    rng = np.random.default_rng(seed)
    num_points = sum(stroke_lengths)
    places = rng.integers(0, 10_001, (num_points, 2)) / 10_000
    seconds = np.sort(rng.integers(0, 100_000, (num_points, 1)), axis=0) / 1000
    return records.Narrative(
        utterances=[f"é{number} two" for number in range(num_utterances)],
        times=(rng.integers(0, 100_000, (num_utterances, 2)) / 1000).astype(np.float32),
        points=np.concatenate([places, seconds], axis=1).astype(np.float32),
        stroke_lengths=np.array(stroke_lengths, np.int32),
    )


def _record(narratives: Sequence[records.Narrative], num_captions: int, labels: Sequence[str] = ()) -> records.Record:
    captions = [f"une légende {number}" for number in range(num_captions)]
    return records.Record(_jpeg(), "0042", "0042.jpg", captions, labels, narratives)


RECORDS = {
    "captions and labels": _record([], 5, ("cat", "dog")),
    "nothing but a caption": _record([], 1),
    "one narrative": _record([_narrative(1, 6, [3, 1, 4])], 1),
    "several": _record([_narrative(2, 6, [3, 4]), _narrative(3, 0, []), _narrative(4, 2, [1])], 3, ("cat",)),
    "words alone": _record([_narrative(5, 4, [])], 1),
    "traces alone": _record([_narrative(6, 0, [9])], 1),
}


def _serialize(record: records.Record) -> bytes:
    features = records.features()
    return features.serialize_example(features.encode_example(records.to_example(record)))


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_record_comes_back_whole(record):
    example = records.features().deserialize_example(
        tf.constant(_serialize(record)), decoders={"image": tfds.decode.SkipDecoding()}
    )
    read = records.from_example(tf.nest.map_structure(lambda tensor: tensor.numpy(), example))
    assert read[:-1] == (*record[:3], list(record.captions), list(record.labels))
    assert len(read.narratives) == len(record.narratives)
    for found, expected in zip(read.narratives, record.narratives):
        assert found.utterances == expected.utterances
        for values, wanted in zip(found[1:], expected[1:]):
            assert values.dtype == wanted.dtype and values.shape == wanted.shape
            np.testing.assert_array_equal(values, wanted)


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_a_graph_reads_what_training_needs(record):
    read = tf.function(records.parse)(tf.constant(_serialize(record)))
    assert (read.image.numpy(), read.image_id.numpy(), read.file_name.numpy()) == (_jpeg(), b"0042", b"0042.jpg")
    assert [text.decode() for text in read.captions.numpy()] == record.captions
    assert [text.decode() for text in read.labels.numpy()] == list(record.labels)
    assert read.narratives == ()


def test_traces_are_stored_in_few_bytes():
    narrative = _narrative(7, 0, [1000])
    few, many = (_serialize(_record(narratives, 1)) for narratives in ([], [narrative]))
    assert len(many) - len(few) < 6.1 * 1000


def test_no_rounding_grows_over_a_long_trace():
    narrative = _narrative(8, 0, [2000])
    narrative.points[:, 2] = np.arange(2000, dtype=np.float32) * np.float32(0.0166)  # Between the stored steps.
    example = records.to_example(_record([narrative], 1))["narratives"]
    seconds = np.cumsum(example["points"][:, 2]) / 1000
    assert np.abs(seconds - narrative.points[:, 2]).max() < 0.00051


def test_what_is_not_converted_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"convert --dataset=ln_coco --source=.* --data_dir=") as error:
        records.open_dataset("ln_coco", tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"convert --dataset=scenes --data_dir="):
        records.open_dataset("scenes", tmp_path)
