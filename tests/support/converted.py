"""Reads the output of a conversion, and the source files of Localized Narratives, without the builders."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import records


def stored(dataset: str, data_dir: pathlib.Path, split: str) -> dict[str, records.Record]:
    """Returns the complete records of a split by image id."""
    options = tf.data.Options()  # To read a few images takes less than to make that faster.
    options.autotune.enabled = options.experimental_optimization.apply_default_optimizations = (
        False  # For a few images.
    )
    examples = records.open_dataset(dataset, data_dir).as_dataset(
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(options=options, try_autocache=False),
    )
    found = [records.from_example(example) for example in examples.as_numpy_iterator()]
    by_id = {record.image_id: record for record in found}
    assert len(by_id) == len(found)
    return by_id


def notes(dataset: str, data_dir: pathlib.Path) -> list[dict]:
    """Returns the entries of skipped.jsonl."""
    lines = (records.directory(dataset, data_dir) / records.SKIPPED_FILE).read_text().splitlines()
    return [json.loads(line) for line in lines]


def left_out(dataset: str, data_dir: pathlib.Path) -> list[tuple[str, str, str]]:
    """Returns (what, name, reason) of everything that was left out, sorted."""
    entries = [entry for entry in notes(dataset, data_dir) if entry["action"] == "left out"]
    return sorted((entry["what"], entry["name"], entry["reason"]) for entry in entries)


def published(files: Iterable[pathlib.Path]) -> dict[str, list[dict]]:
    """Returns the narratives in files of JSON lines by image id, in the order of the files and lines."""
    narratives: dict[str, list[dict]] = {}
    for file in sorted(files):
        for line in file.read_text().splitlines():
            narrative = json.loads(line)
            narratives.setdefault(narrative["image_id"], []).append(narrative)
    return narratives


def rewrite_line(file: pathlib.Path, number: int, content: bytes | dict) -> None:
    """Replaces line `number`, counted from 1, of a file of JSON lines."""
    lines = file.read_bytes().splitlines(keepends=True)
    lines[number - 1] = content if isinstance(content, bytes) else json.dumps(content).encode() + b"\n"
    file.write_bytes(b"".join(lines))


def assert_spoken(narrative: records.Narrative, said: dict) -> None:
    """Compares a stored narrative with a published one: times to 1 ms, positions to 1/10,000, strokes exactly."""
    assert narrative.utterances == [each["utterance"] for each in said["timed_caption"]]
    times = np.array([(each["start_time"], each["end_time"]) for each in said["timed_caption"]])
    np.testing.assert_allclose(narrative.times, times, rtol=0, atol=0.00051)
    strokes = [
        [(point["x"], point["y"], point["t"]) for point in stroke if 0 <= point["x"] <= 1 and 0 <= point["y"] <= 1]
        for stroke in said["traces"]
    ]
    strokes = [stroke for stroke in strokes if stroke]
    assert narrative.stroke_lengths.tolist() == [len(stroke) for stroke in strokes]
    points = np.array([point for stroke in strokes for point in stroke])
    np.testing.assert_allclose(narrative.points[:, :2], points[:, :2], rtol=0, atol=0.000051)
    np.testing.assert_allclose(narrative.points[:, 2], points[:, 2], rtol=0, atol=0.00051)
