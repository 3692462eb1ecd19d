"""Pickles that strangers made: plain data comes out, and nothing else happens."""

from __future__ import annotations

import pickle
import time
import tracemalloc

import pytest

from eval.objects import plain_pickle

DATA = [{"caption": "a dög", "id": 3, "idx": [1, -2, 2**40], "x": (1.5, None, True, b"b"), "y": ()}, [], {}]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol(protocol):
    data = DATA if protocol > 2 else [{"caption": "a dög", "id": 3, "idx": [1, -2, 2**40], "x": (1.5, None)}, [], {}]
    assert plain_pickle.loads(pickle.dumps(data, protocol)) == data


def test_strings_of_python_2_stay_bytes():
    assert plain_pickle.loads(b"(lp0\n(dp1\nS'caption'\np2\nS'a d\\xc3\\xb6g'\np3\nsa.") == [
        {b"caption": b"a d\xc3\xb6g"}
    ]


# A dict whose key is a tuple of two equal tuples of two equal tuples ...: 2 ** 60 hashes.
SHARED = b"\x80\x02}(" + b")" + b"q\x00h\x00\x86" * 60 + b"K\x01u."


@pytest.mark.parametrize(
    "content",
    [
        SHARED,
        b"\x80\x02]r\xff\xff\xff\xff.",
        b"\x80\x02]p4294967295\n0.",
        b"\x80\x04\x8d" + (1 << 40).to_bytes(8, "little") + b"x.",
        b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"x.",
        b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"x.",
        b"\x80\x02}(" + b"\x8a\x08" + (2**61 - 1).to_bytes(8, "little") + b"N" + b"u.",
        b"L" + b"9" * 100_000 + b"L\n.",
        b"\x80\x04\x8f(K\x01\x90.",
        b"\x80\x02cos\nsystem\nU\x02ls\x85R.",
        b"(S'ls'\nios\nsystem\n.",
        b"\x80\x02\x82\x01.",
        b"Pfile\n.",
    ],
    ids=[
        *("shared tuples", "memo", "memo of text", "string size", "bytearray size", "bytes size", "equal hashes"),
        *("digits", "set", "reduce", "inst", "extension", "persistent"),
    ],
)
def test_small_pickles_neither_hang_nor_fill_the_memory(content):
    tracemalloc.start()
    start = time.monotonic()
    try:
        found = plain_pickle.loads(content)
        assert found == []  # The memo's index alone does no harm.
    except Exception as error:
        assert len(str(error)) < 300
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.monotonic() - start < 1 and peak < 10e6
