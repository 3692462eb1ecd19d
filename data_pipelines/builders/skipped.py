"""What a conversion leaves out or mends, so that nothing happens in silence: noted by it, read by the inspection."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import tqdm
from absl import logging
from etils import epath

from data_pipelines import records

# So many of each reason are named in the log, and so many in an inspection; the file names all.
_NAMED, _NAMED_IN_KIND = 3, 5
LEFT_OUT, MENDED, KEPT = "left out", "mended", "kept"


class Note(NamedTuple):
    """One thing that is not as it should be."""

    action: str  # LEFT_OUT, MENDED, or KEPT as it is.
    what: str  # 'image' or 'caption'; 'picture' in files of before.
    name: str  # Of the image's file, or of the line of a file of narratives.
    reason: str  # In a few words, the same for all of its kind.
    detail: str = ""  # What is particular to this one.


class Kind(NamedTuple):
    """All notes of one kind."""

    split: str
    action: str
    what: str
    reason: str
    count: int  # type: ignore[assignment]  # As the JSON file of an inspection calls it; tuples have a method `count`.
    names: list[str]  # Of the first ones, with their details.


class SkippedLog:
    """The notes on one split."""

    def __init__(self, split: str, totals: dict[str, int], max_skipped: float):
        """Begins without notes.

        Args:
          split: 'train', 'validation' or 'test'.
          totals: how many there are in the source of each `what` of a note.
          max_skipped: largest share of them that may be left out, 0 .. 1.
        """
        self._split = split
        self._totals = totals
        self._max_skipped = max_skipped
        self._notes: list[Note] = []
        self._counts: collections.Counter[tuple[str, str, str]] = collections.Counter()

    def add(self, notes: Iterable[Note]) -> None:
        """Takes notes, and names the first of each kind in the log.

        Raises:
          ValueError: more has been left out than is allowed, whatever is still to come.
        """
        for note in notes:
            self._notes.append(note)
            kind = (note.action, note.what, note.reason)
            self._counts[kind] += 1
            if self._counts[kind] <= _NAMED:
                detail = f" ({note.detail})" if note.detail else ""
                with tqdm.tqdm.external_write_mode():
                    logging.warning("%s, %s: %s: %s%s", self._split, note.name, note.action, note.reason, detail)
            if note.action == LEFT_OUT:
                self._check(note.what)

    def close(self, num_written: int) -> None:
        """Sums up the split in the log.

        Args:
          num_written: records of it.

        Raises:
          ValueError: there are none.
        """
        for action in (LEFT_OUT, MENDED, KEPT):
            summary = self._summary(action)
            if summary:
                logging.warning("%s: %s: %s", self._split, action, summary)
        if not num_written:
            reasons = self._summary(LEFT_OUT) or "it is empty"
            raise ValueError(f"split '{self._split}' has no image that can be used ({reasons}): mend the source")

    def write(self, path: epath.Path) -> None:
        """Appends the notes to `path`, one JSON line each; without any, an empty file."""
        lines = [json.dumps({"split": self._split, **note._asdict()}) + "\n" for note in self._notes]
        before = path.read_text() if path.exists() else ""
        path.write_text(before + "".join(lines))

    def _check(self, what: str) -> None:
        lost = sum(count for (action, of, _), count in self._counts.items() if (action, of) == (LEFT_OUT, what))
        total = max(self._totals.get(what, 0), 1)
        if lost > self._max_skipped * total:
            first = next(note for note in self._notes if (note.action, note.what) == (LEFT_OUT, what))
            raise ValueError(
                f"split '{self._split}': {lost} of {total} {what}s cannot be used so far, and at most "
                f"{self._max_skipped:.2%} may be left out ({self._summary(LEFT_OUT)}; first: {first.name}): "
                "mend the source, or raise --max_skipped"
            )

    def _summary(self, action: str) -> str:
        """'3 x corrupt JPEG, 1 x ...', most frequent first."""
        counts = [(count, what, reason) for (of, what, reason), count in self._counts.items() if of == action]
        return ", ".join(f"{count} x {reason} ({what})" for count, what, reason in sorted(counts, reverse=True))


def read_kinds(folder: str | os.PathLike, splits: Sequence[str]) -> list[Kind]:
    """Sums up the notes that a conversion wrote.

    Args:
      folder: of the records.
      splits: the splits of interest.

    Returns:
      The kinds of notes: by split in the order given, then what was left out before the rest, the most frequent first.
    """
    path = epath.Path(folder) / records.SKIPPED_FILE
    if not path.exists():
        return []
    counts: collections.Counter[tuple[str, str, str, str]] = collections.Counter()
    names = collections.defaultdict(list)
    with path.open() as file:
        for line in file:
            note = json.loads(line)
            kind = (note["split"], note["action"], note["what"], note["reason"])
            counts[kind] += 1
            if counts[kind] <= _NAMED_IN_KIND:
                names[kind].append(f"{note['name']} ({note['detail']})" if note["detail"] else note["name"])
    kinds = [Kind(*kind, count, names[kind]) for kind, count in counts.items() if kind[0] in splits]
    return sorted(kinds, key=lambda kind: (splits.index(kind.split), kind.action != LEFT_OUT, kind.action, -kind.count))
