import os
from typing import Union

import msgspec
import pytest

from xmcgan import text_files
from xmcgan.config import Config


class _Annotation(msgspec.Struct):
    image_id: Union[int, str]


class _File(msgspec.Struct):
    annotations: list[_Annotation]


def _written(folder, content):
    path = folder / "given.json"
    path.write_bytes(content)
    return path


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path):
    path = _written(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n')
    assert text_files.read_text(path) == '{"a": 1}\n'
    assert list(text_files.read_lines(path)) == [(1, '{"a": 1}')]
    assert text_files.read_json(path) == {"a": 1}


def test_lines_end_as_in_any_system(tmp_path):
    path = _written(tmp_path, b"a\r\nb\rc\n\nd\xe2\x80\xa8e")
    assert text_files.read_text(path).split("\n") == ["a", "b", "c", "", "d\u2028e"]
    assert list(text_files.read_lines(path)) == [(1, "a"), (2, "b"), (3, "c"), (4, ""), (5, "d\u2028e")]
    assert list(text_files.read_lines(path, newline="\n"))[1] == (2, "b\rc")


@pytest.mark.parametrize(
    "content, error",
    [
        (b"abc\nd\xe9f", "line 2, byte 2: not UTF-8 text (0xe9): save the file as UTF-8"),
        ("abc".encode("utf-16"), "is UTF-16 text: save it as UTF-8"),
        (b"ab\nc\0", "line 2"),
        (b"a" * 100, "100"),
    ],
    ids=["latin-1", "utf-16", "nul", "long"],
)
def test_what_is_not_text_is_refused_by_its_place(tmp_path, content, error):
    path = _written(tmp_path, content)
    for read in (
        lambda: text_files.read_text(path, max_bytes=99),
        lambda: list(text_files.read_lines(path, max_line=99)),
    ):
        with pytest.raises(ValueError) as raised:
            read()
        assert str(raised.value).startswith(str(path))
        assert error in str(raised.value) or len(content) == 100


@pytest.mark.parametrize(
    "content, error",
    [
        (b'{"annotations": [{"image_id": 1}, {"image_id": null}]}', "annotations[1].image_id: expected int | str, got"),
        (b'{"annotations": [{"image_id": 1}, {}]}', "annotations[1]: object missing required field image_id"),
        (b'{"annotations": 5}', "annotations: expected array, got int"),
        (b"[]", "expected object, got array"),
        (b'{"annotations": [', "or cut off in line 1"),
        (b"", "is not valid JSON: it is empty, or cut off"),
        (b'{"annotations"\n}', "line 2, column 1: not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"annotations": ' + b"1" * 5_000 + b"}", "a number has thousands of digits"),
        (b'{"annotations": [{"image_id": "a\\ud800"}]}', "annotations[0].image_id is not text"),
        (b'{"annotations": [{"image_id": "a\xff"}]}', "line 1, byte 33: not UTF-8 text (0xff)"),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_json_errors_name_the_file_and_the_place(tmp_path, content, error):
    path = _written(tmp_path, content)
    with pytest.raises(ValueError) as raised:
        text_files.read_json(path, _File)
    assert str(raised.value).startswith(str(path))
    assert error in str(raised.value)


def test_any_bytes_keeps_strings_that_are_not_text(tmp_path):
    path = _written(tmp_path, b'["a\xff", "\\ud800", "\\ud83d\\ude00"]')
    assert text_files.read_json(path, list[str], any_bytes=True) == ["a\udcff", "\ud800", "\U0001f600"]


def test_types_are_checked_and_only_integers_become_floats():
    assert text_files.check({"generator": {"rho_0": 8}}, Config, "x").generator.rho_0 == 8.0
    for fields in ({"channels": "8"}, {"channels": True}, {"channels": 8.5}, {"channels": None}):
        with pytest.raises(ValueError, match=r"^x: generator\.channels: expected int, got"):
            text_files.check({"generator": fields}, Config, "x")
    with pytest.raises(ValueError, match=r"^x: the name of a field is not text$"):
        text_files.check({"\ud800": 1}, Config, "x")
    assert text_files.check({"a": 1}, dict[str, int], "x") == {"a": 1}


def test_pipes_and_devices_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        for read in (text_files.read_text, text_files.read_json, lambda path: list(text_files.read_lines(path))):
            with pytest.raises(ValueError, match="is a pipe or a device, not a file"):
                read(path)


def test_advice_is_added():
    with pytest.raises(ValueError, match=r"^x is not valid JSON.*: restore it$"), text_files.advice("restore it"):
        text_files.parse_json("", int, "x")
