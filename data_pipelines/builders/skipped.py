"""Keeps account of what a conversion leaves out, so that nothing is lost in silence."""

from __future__ import annotations

import collections
import json
import pathlib

from absl import logging

# So many left out of a split are named in the log; the file names all.
_NAMED = 10


class SkippedLog:
    """What was left out of one split, by reason."""

    def __init__(self, split: str):
        self._split = split
        self._entries: list[dict[str, str]] = []

    def add(self, file_name: str, reason: str) -> None:
        """Notes that a picture, or a caption of it, is left out."""
        if len(self._entries) < _NAMED:
            logging.warning("skipped %s of %s: %s", file_name, self._split, reason)
        self._entries.append({"split": self._split, "file_name": file_name, "reason": reason})

    def write(self, path: pathlib.Path) -> None:
        """Appends the entries to `path`, one JSON line each; an empty account leaves an empty file."""
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in self._entries)

    def check(self, num_pictures: int, num_written: int, max_skipped: float) -> None:
        """Refuses a split of which too little is left.

        Args:
          num_pictures: in the source.
          num_written: that became records.
          max_skipped: largest share of the source's pictures that may be missing from the records, 0 .. 1.

        Raises:
          ValueError: more is missing, or nothing is left.
        """
        counts = collections.Counter(entry["reason"] for entry in self._entries)
        reasons = ", ".join(f"{count} x {reason}" for reason, count in counts.most_common())
        num_skipped = num_pictures - num_written
        if self._entries:
            logging.warning("%s: skipped %d of %d pictures (%s)", self._split, num_skipped, num_pictures, reasons)
        if num_written == 0 or num_skipped > max_skipped * num_pictures:
            raise ValueError(
                f"split '{self._split}': {num_skipped} of {num_pictures} pictures cannot be used ({reasons}; first: "
                f"{self._entries[0]['file_name']}), and at most {max_skipped:.2%} may be skipped: "
                "mend the source, or raise --max_skipped"
            )
