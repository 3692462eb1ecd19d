"""Mutations of valid files, for tests with Hypothesis: bytes flipped, cut and doubled; JSON values swapped."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

# Values of every type, and those that have tripped readers.
_ODD_VALUES = (
    None,
    True,
    0,
    -1,
    7.5,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "7",
    "\ud800",
    "a\x00\x1b[2J",
    [],
    {},
    [[]],
)
_CHUNKS = (
    b"",
    b"\xff",
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xfe\xff",
    b"[" * 2000,
    b"9" * 5000,
    b'"',
    b"\\ud800",
    b"\r",
    b"\n\n",
)


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """Returns a file with one to four parts changed."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        how = draw(st.sampled_from(["flip", "cut", "remove", "double", "insert"]))
        if how == "flip" and data:
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del data[start:]
        elif how == "remove":
            del data[start:end]
        elif how == "double":
            data[start:start] = data[start:end]
        else:
            data[start:start] = draw(st.sampled_from(_CHUNKS))
    return bytes(data)


@st.composite
def swapped(draw: st.DrawFn, value: Any) -> bytes:
    """Returns JSON in which one to three values have been replaced by values of other types, removed or renamed."""
    content = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        owners = [owner for owner in _containers(content) if owner]
        if not owners:
            break
        owner = draw(st.sampled_from(owners))
        key = draw(st.sampled_from(sorted(owner) if isinstance(owner, dict) else list(range(len(owner)))))
        how = draw(st.sampled_from(["replace", "remove", "rename", "nest"]))
        if how == "remove":
            del owner[key]
        elif how == "nest":
            owner[key] = [owner[key]]
        elif how == "rename" and isinstance(owner, dict):
            owner[draw(st.sampled_from(["x", "", "\udfff"]))] = owner.pop(key)
        else:
            owner[key] = copy.deepcopy(draw(st.sampled_from(_ODD_VALUES)))  # It may be changed later.
    return json.dumps(content).encode()


def _containers(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, (dict, list)) else []
    return own + [container for each in inner for container in _containers(each)]
