"""Reads text and JSON that users give or may have edited: with bounds, and with the place in every error.

Text is UTF-8; a byte order mark at its start, as Windows editors write it, is not part of the text. The types of JSON
values are checked by msgspec, so a reader says which fields it needs as a `msgspec.Struct`, `TypedDict` or dataclass,
and gets errors such as `notes.json: scores[3].value: expected float, got str`.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec
from etils import epath

from xmcgan import escapes

MAX_BYTES = 64 << 20
# Python's own limit is near 1000, and depends on what else is running.
MAX_DEPTH = 100
# No caption or table row is longer; a file of another kind, such as an image, may be one endless line.
MAX_LINE = 1 << 20

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What a shell's `<(command)` and `-` stand for.
_PIPES = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
_AT = re.compile(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", re.DOTALL)


def read_text(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> str:
    r"""Reads a text file as a whole; line ends become "\n".

    Args:
      path: of the file, on a disk or in a bucket (gs://).
      max_bytes: largest accepted size.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: it is not a regular file, is too large, or is not UTF-8; names the file, the line and the byte.
    """
    data = read_bytes(path, max_bytes=max_bytes)
    text = _decode(data, os.fspath(path))
    return io.IncrementalNewlineDecoder(None, translate=True).decode(text, final=True)


def read_lines(
    path: str | os.PathLike, *, max_line: int = MAX_LINE, newline: str | None = None
) -> Iterator[tuple[int, str]]:
    r"""Reads a text file line by line, without loading it into memory.

    Args:
      path: of the file.
      max_line: largest accepted number of characters in a line.
      newline: what ends a line, as for `open`: None for "\n", "\r\n" or "\r"; "\n" for that alone.

    Yields:
      The number of each line, from 1, and the line without its end.

    Raises:
      OSError, ValueError: see `read_text`; the errors occur when the line is reached.
    """
    with open_regular(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline) as text:
        number = 0
        while True:
            try:
                line = text.readline(max_line + 1)
            except UnicodeDecodeError as error:
                raise _not_utf8(path) from error
            if not line:
                return
            number += 1
            if "\0" in line:
                raise _not_text(f"{os.fspath(path)}, line {number}")
            if len(line) > max_line:
                raise ValueError(f"{os.fspath(path)}, line {number}: longer than {max_line:,} characters")
            yield number, line.rstrip("\r\n")


def read_bytes(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Reads a file that must be regular and of limited size; see `read_text` for the arguments and errors."""
    with open_regular(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{os.fspath(path)} is larger than {max_bytes:,} bytes, the most that such a file may have")
    return data


def read_json(path: str | os.PathLike, kind: Any = Any, *, max_bytes: int = MAX_BYTES, any_bytes: bool = False) -> Any:
    """Reads a JSON file.

    Args:
      path: of the file, on a disk or in a bucket (gs://).
      kind: type that the content must have, see `check`.
      max_bytes: largest accepted size.
      any_bytes: see `parse_json`.

    Returns:
      The content as `kind`.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: see `read_text` and `parse_json`.
    """
    return parse_json(read_bytes(path, max_bytes=max_bytes), kind, os.fspath(path), any_bytes=any_bytes)


def parse_json(text: str | bytes, kind: Any, name: str, *, any_bytes: bool = False) -> Any:
    """Parses JSON that comes from outside.

    Args:
      text: the JSON, as UTF-8 if it is bytes.
      kind: type that the content must have, see `check`.
      name: where the text comes from, such as a path; errors begin with it.
      any_bytes: accept strings that are not text: bytes that are not UTF-8 become lone surrogates. Depth is not checked
        either, because such files are large, and readers pass on their flat parts only.

    Returns:
      The content as `kind`.

    Raises:
      ValueError: the text is not JSON, is nested too deeply, or does not have this type; names the place.
    """
    if isinstance(text, bytes):
        text = _decode(text, name, errors="surrogateescape" if any_bytes else "strict")
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            raise ValueError(f"{name} is not valid JSON: it is empty, or cut off in line {error.lineno}") from error
        raise ValueError(f"{name}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})") from error
    except RecursionError as error:
        raise ValueError(f"{name} is not valid JSON: it is nested too deeply") from error
    except ValueError as error:  # Python's limit for digits.
        raise ValueError(f"{name} is not valid JSON: a number has thousands of digits") from error
    if not any_bytes:
        _check_depth(content, name)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            _refuse_surrogates(content, name)
    return check(content, kind, name)


def check(content: Any, kind: Any, name: str) -> Any:
    """Checks the types within JSON values.

    Args:
      content: JSON values.
      kind: a type that msgspec knows: built-in types, `msgspec.Struct`, `TypedDict`, dataclasses, unions, ... Fields
        that it does not name are ignored. An int is accepted where a float is needed; nothing else is converted.
      name: where the values come from; errors begin with it.

    Returns:
      The values as `kind`.

    Raises:
      ValueError: a value has another type, or a field is missing; names the place.
    """
    try:
        return msgspec.convert(content, kind)
    except (msgspec.ValidationError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(": ".join([name, *_explain(error)])) from error


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Opens a file to read bytes, unless it is a pipe or a device, which may never end, or never begin.

    Args:
      path: of the file, on a disk or in a bucket (gs://). What a shell's `<(command)` stands for is allowed.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: it is a pipe or a device.
    """
    name = os.fspath(path)
    if "://" not in name and not name.startswith(_PIPES):
        mode = os.stat(name).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # A folder has an error of its own.
            raise ValueError(f"{name} is a pipe or a device, not a file")
    return epath.Path(path).open("rb")


@contextlib.contextmanager
def advice(remedy: str) -> Iterator[None]:
    """Adds what to do, such as "restore it from a copy", to the errors that the functions above raise in the body."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}: {remedy}") from error


def _decode(data: bytes, name: str, errors: str = "strict") -> str:
    if data.startswith(_UTF16):
        raise ValueError(f"{name} is UTF-16 text: save it as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        raise _not_text(_place(data, data.index(b"\0"), name))
    try:
        return data.decode("utf-8", errors=errors)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{_place(data, error.start, name)}: not UTF-8 text (0x{data[error.start]:02x}): save the file as UTF-8"
        ) from error


def _place(data: bytes, offset: int, name: str) -> str:
    line_start = data.rfind(b"\n", 0, offset) + 1
    return f"{name}, line {data.count(bytes([10]), 0, offset) + 1}, byte {offset - line_start + 1}"


def _not_utf8(path: str | os.PathLike) -> ValueError:
    """Finds the line of a file that is not UTF-8, and returns the error."""
    with open_regular(path) as file:
        if file.read(2) in _UTF16:
            return ValueError(f"{os.fspath(path)} is UTF-16 text: save it as UTF-8")
        file.seek(0)
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                place = f"{os.fspath(path)}, line {number}, byte {error.start + 1}"
                return ValueError(f"{place}: not UTF-8 text (0x{line[error.start]:02x}): save the file as UTF-8")
    return ValueError(f"{os.fspath(path)} is not UTF-8 text: save it as UTF-8")


def _not_text(place: str) -> ValueError:
    return ValueError(f"{place}: a NUL character, so this is not UTF-8 text: save it as UTF-8")


def _explain(error: Exception) -> list[str]:
    """Returns the place and the reason of an error of msgspec."""
    if isinstance(error, RecursionError):
        return ["nested too deeply"]
    if isinstance(error, UnicodeEncodeError):
        return ["the name of a field is not text"]
    found = _AT.fullmatch(str(error))
    assert found is not None  # The second part is optional.
    reason = found[1].replace("`", "")
    return [escapes.excerpt(part) for part in (found[2], reason[:1].lower() + reason[1:]) if part]


def _check_depth(content: Any, name: str) -> None:
    """Raises ValueError if values are nested more deeply than MAX_DEPTH, so that all readers and writers can cope."""
    level = [content]
    for _ in range(MAX_DEPTH):
        containers = [each.values() if isinstance(each, dict) else each for each in level if type(each) in (dict, list)]
        level = [inner for each in containers for inner in each]
        if not level:
            return
    raise ValueError(f"{name} is not usable: its values are nested more than {MAX_DEPTH} deep")


def _refuse_surrogates(content: Any, name: str) -> None:
    """Raises ValueError if a string has a lone surrogate, which JSON can hold and UTF-8 cannot."""
    waiting = [("", content)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(place, key) for key in value] + [(f"{place}.{key}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}[{index}]", inner) for index, inner in enumerate(value)]
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                where = escapes.excerpt(place.removeprefix("."))
                raise ValueError(f"{name}: {where or 'it'} is not text: it has a lone surrogate") from error
