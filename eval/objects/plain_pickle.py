"""Reads pickles of plain data, such as lists of dicts of strings, which must not run code, hang or fill the memory.

Python's own unpickler in C allocates whatever size a pickle states, and computes the hash of any key, which takes for
ever if the key is a tuple of tuples that share their parts. This one builds on the unpickler in Python.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar

_PythonUnpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]  # Without a public name.
_OPCODES = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.FLOAT, pickle.BINFLOAT),
    *(pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1, pickle.LONG4),
    *(pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.UNICODE, pickle.BINUNICODE, pickle.BINUNICODE8),
    *(pickle.SHORT_BINUNICODE, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8),
    *(pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    # These end in `find_class` or `persistent_load`, which refuse them by name.
    *(pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.INST, pickle.PERSID, pickle.BINPERSID),
)


class NotPlainError(pickle.UnpicklingError):
    """A pickle asks for a function or a class; the message names it."""


def loads(data: bytes) -> Any:
    """Reads a pickle of numbers, strings, and lists, tuples and dicts of them; the keys of dicts are strings.

    Args:
      data: the pickle. Time and memory are proportional to its size: up to 2 microseconds and 100 bytes for each byte.

    Returns:
      The data. Strings of Python 2 are returned as bytes, because their encoding is not known.

    Raises:
      NotPlainError: the pickle refers to a function or a class, which has not been loaded.
      Exception: the pickle is damaged or holds something else; damage is told by exceptions of many types.
    """
    return _Unpickler(io.BytesIO(data), encoding="bytes").load()


class _Unpickler(_PythonUnpickler):
    """Knows only the opcodes of plain data."""

    dispatch: ClassVar = {opcode[0]: _PythonUnpickler.dispatch[opcode[0]] for opcode in _OPCODES}

    def find_class(self, module: str, name: str) -> Any:
        raise NotPlainError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise NotPlainError("a persistent object")

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set_items(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or not all(type(key) in (str, bytes) for key in items[::2]):
            raise pickle.UnpicklingError("a key of a dict is not a string")
        target.update(zip(items[::2], items[1::2]))

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
