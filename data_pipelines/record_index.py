"""Random access to the records of a split: where each one begins in its TFRecord file.

TFRecord files can only be read from the front. With the place of every record known, any one is read at once: an epoch
is then a permutation of numbers instead of a shuffle buffer, a stream starts at any step, and a host reads its own
records alone. The index of a split lies beside its records, `<split>.index.npy`, 8 bytes a record.

The place of a record in a TFRecord file: 8 bytes with its length n, 4 of their checksum, n of data, 4 of its checksum.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import tensorflow as tf
from absl import logging
from etils import epath

from xmcgan.files import replaced

# Bytes around the data of a record, and those of its length.
_FRAME, _LENGTH = 16, 8
# Records that are under way at once: disks across a network answer late, but many at a time.
_READS_AT_ONCE = 16
# Records that follow each other in one of these lines: fewer turns to take for tf.data.
_RECORDS_IN_LINE = 8


class RecordIndex:
    """The records of a split, numbered through its files; 12 bytes of memory a record.

    Attributes:
      files: names of the TFRecord files.
    """

    def __init__(self, files: Sequence[str], file_numbers: np.ndarray, offsets: np.ndarray):
        """Keeps the place of each record.

        Args:
          files: names of the TFRecord files.
          file_numbers: of each record's file, [records] int32.
          offsets: of each record in its file, [records] int64 bytes.
        """
        self.files = list(files)
        # Tensors, of which a graph holds the reference: arrays would be copied into it. tf.data works on the host.
        with tf.device("CPU:0"):
            self._files = tf.constant(self.files)
            self._file_numbers = tf.constant(file_numbers, tf.int32)
            self._offsets = tf.constant(offsets, tf.int64)

    def __len__(self) -> int:
        return self._offsets.shape[0]

    def read(self, numbers: tf.data.Dataset) -> tf.data.Dataset:
        """Reads records in any order.

        Args:
          numbers: dataset of int64 [rows], each in [0, len(self)); looked up together, so better many than few.

        Returns:
          The serialized records, each a scalar string, in the order of their numbers.
        """

        def place(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.gather(self._files, tf.gather(self._file_numbers, rows)), tf.gather(self._offsets, rows)

        def record(file: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
            # The op behind tf.data.TFRecordDataset, which does not offer offsets itself. No buffer: the reader knows
            # how long a record is, and takes it whole.
            from_offset = tf.raw_ops.TFRecordDatasetV2(
                filenames=[file], compression_type="", buffer_size=tf.constant(0, tf.int64), byte_offsets=[offset]
            )
            return tf.data.experimental.from_variant(from_offset, tf.TensorSpec([], tf.string)).take(1)

        # Not a map of get_single_element: with enable_op_determinism, tf.data would give up all parallelism for it.
        lines = numbers.map(place).unbatch().batch(_RECORDS_IN_LINE)
        return lines.interleave(
            lambda files, offsets: tf.data.Dataset.from_tensor_slices((files, offsets)).flat_map(record),
            cycle_length=_READS_AT_ONCE,
            block_length=_RECORDS_IN_LINE,
            num_parallel_calls=_READS_AT_ONCE,
            deterministic=True,
        )


def path(folder: str | os.PathLike, split: str) -> epath.Path:
    """Where the index of a split lies."""
    return epath.Path(folder) / f"{split}.index.npy"


def write(folder: str | os.PathLike, split: str, files: Sequence[str]) -> None:
    """Indexes the finished files of a split.

    Args:
      folder: of the files; the index is put there.
      split: name of the split.
      files: its TFRecord files in their order, as names within `folder`.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file ends within a record.
    """
    target = path(folder, split)
    offsets = np.concatenate([np.zeros(0, np.int64), *(_scan(epath.Path(folder) / file) for file in files)])
    with replaced(target, "wb") as file:
        np.save(file, offsets)


def load(
    folder: str | os.PathLike, split: str, files: Sequence[str | os.PathLike], lengths: Sequence[int]
) -> RecordIndex:
    """The index of a split, held against its files.

    Records that have none beside them are scanned: on a local disk a second or so for each hundred thousand.

    Args:
      folder: of the files and their index.
      split: name of the split.
      files: its TFRecord files in their order (TFDS: `split_info.filepaths`).
      lengths: how many records each of them holds (TFDS: `split_info.shard_lengths`).

    Returns:
      The index.

    Raises:
      FileNotFoundError: a file of the records is missing.
      ValueError: the index does not belong to these files, or they are damaged; says what to do.
    """
    files = [epath.Path(file) for file in files]
    if path(folder, split).exists():
        offsets = _read(path(folder, split), files, lengths)
    else:
        logging.info("%s is missing: looking through %d records", path(folder, split), sum(lengths))
        scanned = [_scan(file) for file in files]
        for file, offsets, length in zip(files, scanned, lengths):
            if len(offsets) != length:
                raise ValueError(f"{file} holds {len(offsets)} records instead of {length}: {_convert_again(folder)}")
        offsets = np.concatenate(scanned)
    file_numbers = np.repeat(np.arange(len(files), dtype=np.int32), lengths)
    return RecordIndex([os.fspath(file) for file in files], file_numbers, offsets)


def _read(source: epath.Path, files: Sequence[epath.Path], lengths: Sequence[int]) -> np.ndarray:
    """The offsets in a file of `write`, if they fit the records."""
    remedy = "remove it, and the records are looked through again"
    try:
        with source.open("rb") as content:
            offsets = np.load(content)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{source} cannot be read: {remedy}") from error
    if offsets.shape != (sum(lengths),) or offsets.dtype != np.int64:
        raise ValueError(
            f"{source} is not the index of {sum(lengths)} records, but of {offsets.dtype}{offsets.shape}: {remedy}"
        )
    for file, own in zip(files, np.split(offsets, np.cumsum(lengths)[:-1])):
        if not _fits(file, own):
            raise ValueError(f"{source} does not fit the records in {file.name}: {remedy}")
    return offsets


def _scan(file: epath.Path) -> np.ndarray:
    """The offsets of all records in a file, [records] int64, found from their lengths alone."""
    size = _size(file)
    offsets, offset = [], 0
    with file.open("rb") as content:
        while offset < size:
            offsets.append(offset)
            offset = _end(content, offset)
    if offset != size:
        raise ValueError(f"{file} ends within a record: {_convert_again(file.parent)}")
    return np.asarray(offsets, np.int64)


def _fits(file: epath.Path, offsets: np.ndarray) -> bool:
    """Whether offsets can be a file's: they rise from its first byte on, and the last record ends with the file."""
    size = _size(file)
    if not len(offsets):
        return size == 0
    if offsets[0] != 0 or (np.diff(offsets) < _FRAME).any() or offsets[-1] + _FRAME > size:
        return False
    with file.open("rb") as content:
        return _end(content, int(offsets[-1])) == size


def _end(content: BinaryIO, offset: int) -> int:
    """Where the record that begins at `offset` ends: beyond the end of the file if it is cut."""
    content.seek(offset)
    length = content.read(_LENGTH).ljust(_LENGTH, b"\xff")  # Cut within the length itself: make it a very large one.
    return offset + _FRAME + int.from_bytes(length, "little")


def _size(file: epath.Path) -> int:
    try:
        return file.stat().length
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{file} is missing: {_convert_again(file.parent)}") from error


def _convert_again(folder: str | os.PathLike) -> str:
    return f"remove {os.fspath(folder)} and convert the dataset again"
