"""Reads Localized Narratives (Pont-Tuset et al. 2020), one JSON object per line, without loading them into memory.

A first pass over each file finds the image id and position of each line. Lines are parsed later, when they are needed.
"""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tqdm
from etils import epath

from data_pipelines.builders import captions
from data_pipelines.builders.skipped import KEPT, LEFT_OUT, MENDED, Issue
from data_pipelines.records import Narrative
from xmcgan import text_files
from xmcgan.files import matching

_IMAGE_ID = re.compile(rb'"image_id"\s*:\s*"?(\w+)"?\s*[,}]')
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.jsonl$")
# Longest accepted line, in bytes; published ones have a few hundred kilobytes.
_LONGEST_LINE = 16 << 20
# How many missing files an error names.
_NAMED = 10
# Longest accepted narrative, in seconds: float32 must hold its milliseconds exactly. Published ones take a minute.
_LONGEST = 10_000


class Line(NamedTuple):
    """The position of a narrative in a file."""

    path: str
    offset: int  # Bytes before the line.
    length: int  # Bytes of the line.
    number: int  # Number of the line, from 1.

    @property
    def name(self) -> str:
        """Name of the narrative in the issues."""
        return f"{epath.Path(self.path).name}:{self.number}"


def find_files(source: epath.Path, name: str, light_name: str) -> list[epath.Path]:
    """Finds the narrative files of a split, in shards or as one file; prefers full files to those with captions only.

    Args:
      source: the source folder.
      name: name of the full file without shard number and ending, such as 'coco_val_localized_narratives'.
      light_name: the same for the file with captions only, such as 'coco_val_captions'.

    Returns:
      The files in order; an empty list if there are none of either kind.

    Raises:
      FileNotFoundError: some of the shards are missing.
    """
    for stem in (name, light_name):
        if (source / f"{stem}.jsonl").exists():
            return [source / f"{stem}.jsonl"]
        shards = [path for path in matching(source, f"{stem}-*-of-*.jsonl") if _SHARD.search(path.name)]
        if shards:
            count = int(shards[0].name.removesuffix(".jsonl").rpartition("-")[2])
            wanted = [source / f"{stem}-{number:05d}-of-{count:05d}.jsonl" for number in range(count)]
            missing = [path.name for path in wanted if path not in shards]
            if missing:
                more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
                raise FileNotFoundError(
                    f"source folder {source} lacks {', '.join(missing[:_NAMED])}{more}: download them too"
                )
            return wanted
    return []


def by_image(paths: Sequence[epath.Path]) -> tuple[dict[str, list[Line]], list[Issue], int]:
    """Finds the narratives of each image in all files of a split.

    Args:
      paths: the narrative files of the split.

    Returns:
      The lines by image id, an issue for each line that names no image, and the total number of these lines.
    """
    lines = collections.defaultdict(list)
    issues = []
    size = sum(path.stat().length for path in paths)
    with tqdm.tqdm(total=size, desc="scanning narratives", unit="B", unit_scale=True, disable=None) as progress:
        for path in paths:
            for found in _scan_lines(path, progress):
                if isinstance(found, Issue):
                    issues.append(found)
                else:
                    lines[found[0]].append(found[1])
    return dict(lines), issues, len(issues) + sum(map(len, lines.values()))


def read(line: Line) -> tuple[str, Narrative, list[Issue]]:
    """Reads one narrative.

    Points of the trace outside the image are left out, because there the mouse points at nothing.

    Args:
      line: position of the narrative.

    Returns:
      The caption, which is empty if it cannot be used; the narrative, which is empty if the file has no times and
      traces; and the issues found.
    """
    with epath.Path(line.path).open("rb") as file:
        file.seek(line.offset)
        content = file.read(line.length)
    try:
        fields: Any = text_files.parse_json(content, Any, line.name, any_bytes=True)
    except ValueError as error:
        return "", _make_narrative(), [Issue(LEFT_OUT, "caption", line.name, "JSON line cut off or broken", str(error))]
    if not isinstance(fields, dict) or "caption" not in fields:
        return "", _make_narrative(), [Issue(LEFT_OUT, "caption", line.name, "not a narrative")]
    caption, issues = captions.clean(fields["caption"], line.name)
    if not caption or not ("traces" in fields or "timed_caption" in fields):  # Files with captions only have neither.
        return caption, _make_narrative(), issues
    try:
        narrative = _parse_spoken(fields)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        detail = f"{type(error).__name__}: {error}"
        return (
            caption,
            _make_narrative(),
            [*issues, Issue(MENDED, "caption", line.name, "unreadable times or traces", detail)],
        )
    narrative, outside = _drop_outside(narrative)
    if outside:
        detail = f"{outside} of {outside + len(narrative.points)} points"
        issues.append(Issue(MENDED, "caption", line.name, "trace points outside [0, 1] left out", detail))
    elif not len(narrative.points):
        issues.append(Issue(KEPT, "caption", line.name, "narrative without traces"))
    return caption, narrative, issues


def _scan_lines(path: epath.Path, progress: tqdm.tqdm) -> Iterator[tuple[str, Line] | Issue]:
    """Yields the image id and position of each line, or an issue if the line names no image; skips empty lines.

    Finds the id with a regular expression, because parsing half a million lines with their traces would take minutes.
    """
    offset = 0
    with text_files.open_regular(path) as file:
        for number in itertools.count(1):
            content = file.readline(_LONGEST_LINE)
            if not content:
                return
            line = Line(str(path), offset, len(content), number)
            is_whole = len(content) < _LONGEST_LINE or content.endswith(b"\n")
            offset += len(content) + (0 if is_whole else _skip_line(file))
            progress.update(offset - line.offset)
            found = _IMAGE_ID.search(content)
            if not is_whole:
                yield Issue(LEFT_OUT, "caption", line.name, "line of more than 16 MB")
            elif found:
                yield found[1].decode(), line
            elif content.strip():
                yield Issue(LEFT_OUT, "caption", line.name, "JSON line cut off or without image_id")


def _skip_line(file: BinaryIO) -> int:
    """Skips the rest of a line; returns its number of bytes."""
    skipped = 0
    while rest := file.readline(_LONGEST_LINE):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped


def _make_narrative(utterances=(), times=(), points=(), stroke_lengths=()) -> Narrative:
    return Narrative(
        utterances=list(utterances),
        times=np.array(times, np.float32).reshape(-1, 2),
        points=np.array(points, np.float32).reshape(-1, 3),
        stroke_lengths=np.array(stroke_lengths, np.int32),
    )


def _parse_spoken(fields: dict[str, Any]) -> Narrative:
    """Parses times and traces; any exception means that they do not have the published format."""
    timed, traces = fields.get("timed_caption", []), fields.get("traces", [])
    utterances = [" ".join(each["utterance"].encode().decode().split()) for each in timed]
    times = [(float(each["start_time"]), float(each["end_time"])) for each in timed]
    points = [(float(point["x"]), float(point["y"]), float(point["t"])) for stroke in traces for point in stroke]
    narrative = _make_narrative(utterances, times, points, [len(stroke) for stroke in traces])
    seconds = np.concatenate([narrative.times.ravel(), narrative.points[:, 2]])
    if not (np.isfinite(narrative.points).all() and (np.abs(seconds) <= _LONGEST).all()):
        raise ValueError("a number is not finite, or a time is hours long")
    return narrative


def _drop_outside(narrative: Narrative) -> tuple[Narrative, int]:
    """Returns the narrative without the points outside the image, and the number of these points."""
    places = narrative.points[:, :2]
    inside = ((places >= 0) & (places <= 1)).all(axis=1)  # [points]
    stroke_of = np.repeat(np.arange(len(narrative.stroke_lengths)), narrative.stroke_lengths)
    lengths = np.bincount(stroke_of[inside], minlength=len(narrative.stroke_lengths))
    kept = narrative._replace(points=narrative.points[inside], stroke_lengths=lengths[lengths > 0].astype(np.int32))
    return kept, int((~inside).sum())
