"""Makes TFDS write the same bytes whenever the same images are converted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import tensorflow as tf


class Writer(Protocol):
    """What TFDS writes a file of records with, such as `tfds.core.ExampleWriter`."""

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        """Writes serialized examples, which come with their keys, to a file."""


class RepeatableWriter:
    """Writes the fields of each record in the order of their names.

    A record is a map from names to fields. Since version 5, Protocol Buffers serialize a map in an order that differs
    from process to process, unless they are asked for a fixed one, and TFDS does not ask.
    """

    def __init__(self, writer: Writer):
        """Makes a writer that puts fields in order, and lets `writer` write them."""
        self._writer = writer

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        """Writes serialized examples, which come with their keys, to a file; returns what TFDS' writer returns."""
        return self._writer.write(path, ((key, fields_in_order(example)) for key, example in examples))


def fields_in_order(serialized: bytes) -> bytes:
    """Serializes a `tf.train.Example` again, with its fields in the order of their names."""
    return tf.train.Example.FromString(serialized).SerializeToString(deterministic=True)
