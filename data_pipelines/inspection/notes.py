"""What the conversion noted beside the records: images and captions left out, mended, or kept though odd."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Iterable
from typing import NamedTuple

from etils import epath

from data_pipelines import records

# Names told of each kind.
_NAMED = 5


class Kind(NamedTuple):
    """Notes of one kind."""

    split: str
    action: str  # 'left out', 'mended' or 'kept'.
    what: str  # 'picture' or 'caption'.
    reason: str
    count: int
    names: list[str]  # Of the first ones, with their details.


def by_reason(folder: str | os.PathLike, splits: Iterable[str]) -> list[Kind]:
    """Sums up the notes.

    Args:
      folder: of the records.
      splits: the splits of interest.

    Returns:
      Their kinds: by split in the order given, then what was left out before the rest, the most frequent first.
    """
    path = epath.Path(folder) / records.SKIPPED_FILE
    if not path.exists():
        return []
    totals: collections.Counter[tuple[str, str, str, str]] = collections.Counter()
    names = collections.defaultdict(list)
    with path.open() as file:
        for line in file:
            note = json.loads(line)
            kind = (note["split"], note["action"], note["what"], note["reason"])
            totals[kind] += 1
            if totals[kind] <= _NAMED:
                names[kind].append(f"{note['name']} ({note['detail']})" if note["detail"] else note["name"])
    kinds = [Kind(*kind, count, names[kind]) for kind, count in totals.items()]
    order = {split: place for place, split in enumerate(splits)}
    wanted = [kind for kind in kinds if kind.split in order]
    return sorted(wanted, key=lambda kind: (order[kind.split], kind.action != "left out", kind.action, -kind.count))
