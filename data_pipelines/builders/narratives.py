"""Reads Localized Narratives (Pont-Tuset et al. 2020), one JSON object a line, without holding them in memory.

A file of them is first gone through for the image and place of each line; lines are parsed where they are needed.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tqdm
from etils import epath

from data_pipelines.builders import captions
from data_pipelines.builders.skipped import KEPT, LEFT_OUT, MENDED, Note
from data_pipelines.records import Narrative

_IMAGE_ID = re.compile(rb'"image_id"\s*:\s*"?(\w+)"?\s*[,}]')
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.jsonl$")
# Seconds of a narrative: its milliseconds must be exact in float32, and published ones take a minute.
_LONGEST = 10_000


class Line(NamedTuple):
    """Where a narrative lies."""

    path: str
    offset: int  # Bytes before it.
    length: int  # Bytes of it.
    number: int  # From 1.

    @property
    def name(self) -> str:
        """What to call it in a note."""
        return f"{epath.Path(self.path).name}:{self.number}"


def find_files(source: epath.Path, name: str, light_name: str) -> list[epath.Path]:
    """The files of a split: whole or in shards, the full ones or, without them, those with captions alone.

    Args:
      source: folder that they lie in.
      name: of the full file without its shard number and ending, such as 'coco_val_localized_narratives'.
      light_name: the same of the file with captions alone, such as 'coco_val_captions'.

    Returns:
      The files in their order; none if there is neither.

    Raises:
      FileNotFoundError: some of the shards are missing.
    """
    for stem in (name, light_name):
        if (source / f"{stem}.jsonl").exists():
            return [source / f"{stem}.jsonl"]
        shards = sorted(path for path in source.glob(f"{stem}-*-of-*.jsonl") if _SHARD.search(path.name))
        if shards:
            count = int(shards[0].name.removesuffix(".jsonl").rpartition("-")[2])
            wanted = [source / f"{stem}-{number:05d}-of-{count:05d}.jsonl" for number in range(count)]
            missing = [path.name for path in wanted if path not in shards]
            if missing:
                raise FileNotFoundError(f"source folder {source} lacks {', '.join(missing)}: fetch them too")
            return wanted
    return []


def by_image(paths: Sequence[epath.Path]) -> tuple[dict[str, list[Line]], list[Note], int]:
    """Goes through all files of a split.

    Args:
      paths: of its files of narratives.

    Returns:
      The lines by image id, notes on lines that name no image, and how many narratives there are with these.
    """
    lines = collections.defaultdict(list)
    notes = []
    size = sum(path.stat().length for path in paths)
    with tqdm.tqdm(total=size, desc="looking through narratives", unit="B", unit_scale=True, disable=None) as progress:
        for path in paths:
            for found in _lines_of(path, progress):
                if isinstance(found, Note):
                    notes.append(found)
                else:
                    lines[found[0]].append(found[1])
    return dict(lines), notes, len(notes) + sum(map(len, lines.values()))


def read(line: Line) -> tuple[str, Narrative, list[Note]]:
    """Reads one narrative.

    Points of the mouse outside of the image are left out: the mouse may leave it, and then points at nothing.

    Args:
      line: where it lies.

    Returns:
      The caption, empty if it is unfit; how it was spoken, empty where that is not told; what there is to note.
    """
    with epath.Path(line.path).open("rb") as file:
        file.seek(line.offset)
        content = file.read(line.length)
    try:
        fields = json.loads(content.decode("utf-8", errors="surrogateescape"))
    except (ValueError, RecursionError) as error:  # JSONDecodeError, or a number of 5,000 digits; brackets in brackets.
        return "", _narrative(), [Note(LEFT_OUT, "caption", line.name, "JSON line cut off or broken", str(error))]
    if not isinstance(fields, dict) or "caption" not in fields:
        return "", _narrative(), [Note(LEFT_OUT, "caption", line.name, "not a narrative")]
    caption, notes = captions.clean(fields["caption"], line.name)
    if not caption or not ("traces" in fields or "timed_caption" in fields):  # The files with captions alone.
        return caption, _narrative(), notes
    try:
        narrative = _spoken(fields)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        detail = f"{type(error).__name__}: {error}"
        return caption, _narrative(), [*notes, Note(MENDED, "caption", line.name, "unreadable times or traces", detail)]
    narrative, outside = _inside(narrative)
    if outside:
        detail = f"{outside} of {outside + len(narrative.points)} points"
        notes.append(Note(MENDED, "caption", line.name, "trace points outside [0, 1] left out", detail))
    elif not len(narrative.points):
        notes.append(Note(KEPT, "caption", line.name, "narrative without traces"))
    return caption, narrative, notes


def _lines_of(path: epath.Path, progress: tqdm.tqdm) -> Iterator[tuple[str, Line] | Note]:
    """Image id and place of each line, or a note if it names no image. Empty lines are passed over.

    The id is looked for as text: to parse half a million lines, traces and all, takes minutes.
    """
    offset = 0
    with path.open("rb") as file:
        for number, content in enumerate(file, start=1):
            line = Line(str(path), offset, len(content), number)
            offset += len(content)
            progress.update(len(content))
            found = _IMAGE_ID.search(content)
            if found:
                yield found[1].decode(), line
            elif content.strip():
                yield Note(LEFT_OUT, "caption", line.name, "JSON line cut off or without image_id")


def _narrative(utterances=(), times=(), points=(), stroke_lengths=()) -> Narrative:
    return Narrative(
        utterances=list(utterances),
        times=np.array(times, np.float32).reshape(-1, 2),
        points=np.array(points, np.float32).reshape(-1, 3),
        stroke_lengths=np.array(stroke_lengths, np.int32),
    )


def _spoken(fields: dict[str, Any]) -> Narrative:
    """Times and traces as published; any error means that they are of another form."""
    timed, traces = fields.get("timed_caption", []), fields.get("traces", [])
    utterances = [" ".join(each["utterance"].encode().decode().split()) for each in timed]
    times = [(float(each["start_time"]), float(each["end_time"])) for each in timed]
    points = [(float(point["x"]), float(point["y"]), float(point["t"])) for stroke in traces for point in stroke]
    narrative = _narrative(utterances, times, points, [len(stroke) for stroke in traces])
    seconds = np.concatenate([narrative.times.ravel(), narrative.points[:, 2]])
    if not (np.isfinite(narrative.points).all() and (np.abs(seconds) <= _LONGEST).all()):
        raise ValueError("a number is not finite, or a time of hours")
    return narrative


def _inside(narrative: Narrative) -> tuple[Narrative, int]:
    """The narrative without the points outside of the image, and how many they are."""
    places = narrative.points[:, :2]
    inside = ((places >= 0) & (places <= 1)).all(axis=1)  # [points]
    stroke_of = np.repeat(np.arange(len(narrative.stroke_lengths)), narrative.stroke_lengths)
    lengths = np.bincount(stroke_of[inside], minlength=len(narrative.stroke_lengths))
    kept = narrative._replace(points=narrative.points[inside], stroke_lengths=lengths[lengths > 0].astype(np.int32))
    return kept, int((~inside).sum())
