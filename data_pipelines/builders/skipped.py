"""The list of everything that a conversion leaves out or mends; the inspection reads it."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import tqdm
from absl import logging
from etils import epath

from data_pipelines import record_folders
from xmcgan import text_files

# How many issues of each kind are named in the log and in an inspection. The file names all of them.
_LOGGED_PER_KIND, _LISTED_PER_KIND = 3, 5
LEFT_OUT, MENDED, KEPT = "left out", "mended", "kept"


class Issue(NamedTuple):
    """A flaw of an image or caption, and what the conversion did about it."""

    action: str  # LEFT_OUT, MENDED, or KEPT as it is.
    what: str  # 'image' or 'caption'; 'picture' in files of older versions.
    name: str  # Name of the image's file, or of the line in a narrative file.
    reason: str  # A few words, the same for all issues of a kind.
    detail: str = ""  # What is specific to this issue.


class _Line(msgspec.Struct):
    """An issue in the file."""

    split: str
    action: str
    what: str
    reason: str
    name: str
    detail: str = ""


class Kind(NamedTuple):
    """A summary of all issues of one kind."""

    split: str
    action: str
    what: str
    reason: str
    count: int  # type: ignore[assignment]  # A key of an inspection's JSON file; it shadows the method `count` of tuples.
    names: list[str]  # Names of the first issues, with their details.


class SkippedLog:
    """The issues of one split."""

    def __init__(self, split: str, totals: dict[str, int], max_skipped: float):
        """Starts an empty log.

        Args:
          split: 'train', 'validation' or 'test'.
          totals: number of images and of captions in the source, by `Issue.what`.
          max_skipped: largest share of these that may be left out, 0 .. 1.
        """
        self._split = split
        self._totals = totals
        self._max_skipped = max_skipped
        self._issues: list[Issue] = []
        self._counts: collections.Counter[tuple[str, str, str]] = collections.Counter()

    def add(self, issues: Iterable[Issue]) -> None:
        """Adds issues, and logs the first ones of each kind.

        Raises:
          ValueError: more has been left out than `max_skipped` allows for the whole split.
        """
        for issue in issues:
            self._issues.append(issue)
            kind = (issue.action, issue.what, issue.reason)
            self._counts[kind] += 1
            if self._counts[kind] <= _LOGGED_PER_KIND:
                detail = f" ({issue.detail})" if issue.detail else ""
                with tqdm.tqdm.external_write_mode():
                    logging.warning("%s, %s: %s: %s%s", self._split, issue.name, issue.action, issue.reason, detail)
            if issue.action == LEFT_OUT:
                self._check(issue.what)

    def close(self, num_written: int) -> None:
        """Logs a summary of the split.

        Args:
          num_written: number of records written.

        Raises:
          ValueError: no records were written.
        """
        for action in (LEFT_OUT, MENDED, KEPT):
            summary = self._summary(action)
            if summary:
                logging.warning("%s: %s: %s", self._split, action, summary)
        if not num_written:
            reasons = self._summary(LEFT_OUT) or "it is empty"
            raise ValueError(f"split '{self._split}' has no image that can be used ({reasons}): fix the source")

    def write(self, path: epath.Path) -> None:
        """Appends the issues to `path`, one JSON object per line; creates the file even if there are no issues."""
        lines = [json.dumps({"split": self._split, **issue._asdict()}) + "\n" for issue in self._issues]
        before = path.read_text() if path.exists() else ""
        path.write_text(before + "".join(lines))

    def _check(self, what: str) -> None:
        lost = sum(count for (*kind, _), count in self._counts.items() if kind == [LEFT_OUT, what])
        total = max(self._totals.get(what, 0), 1)
        if lost > self._max_skipped * total:
            first = next(issue for issue in self._issues if (issue.action, issue.what) == (LEFT_OUT, what))
            raise ValueError(
                f"split '{self._split}': {lost} of {total} {what}s cannot be used so far, and at most "
                f"{self._max_skipped:.2%} may be left out ({self._summary(LEFT_OUT)}; first: {first.name}): "
                "fix the source, or raise --max_skipped"
            )

    def _summary(self, action: str) -> str:
        """Returns a summary such as '3 x corrupt JPEG (image), 1 x ...', most frequent first."""
        counts = [(count, what, reason) for (done, what, reason), count in self._counts.items() if done == action]
        return ", ".join(f"{count} x {reason} ({what})" for count, what, reason in sorted(counts, reverse=True))


def read_kinds(folder: str | os.PathLike, splits: Sequence[str]) -> list[Kind]:
    """Summarizes the issues that a conversion listed.

    Args:
      folder: folder of the records.
      splits: the splits to read.

    Returns:
      The kinds of issues, sorted by split in the given order, then with the left-out ones first, then by frequency.
    """
    path = epath.Path(folder) / record_folders.SKIPPED_FILE
    if not path.exists():
        return []
    counts: collections.Counter[tuple[str, str, str, str]] = collections.Counter()
    names = collections.defaultdict(list)
    for number, line in text_files.read_lines(path):
        issue = text_files.parse_json(line, _Line, f"{path}, line {number}")
        kind = (issue.split, issue.action, issue.what, issue.reason)
        counts[kind] += 1
        if counts[kind] <= _LISTED_PER_KIND:
            names[kind].append(f"{issue.name} ({issue.detail})" if issue.detail else issue.name)
    kinds = [Kind(*kind, count, names[kind]) for kind, count in counts.items() if kind[0] in splits]
    return sorted(kinds, key=lambda kind: (splits.index(kind.split), kind.action != LEFT_OUT, kind.action, -kind.count))
