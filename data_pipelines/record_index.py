"""Random access to the records of a split, through an index of their offsets in the TFRecord files.

TFRecord files can only be read from the front. Once the offset of every record is known, any record can be read
directly. So an epoch needs no shuffle buffer, only a permutation of record numbers; a stream can start at any step; and
a host reads only its own records. The index of a split is stored beside its records as `<split>.index.npy`, with 8
bytes per record.

Layout of a record in a TFRecord file: 8 bytes with the length n of the data, 4 bytes with the checksum of the length,
n bytes of data, and 4 bytes with the checksum of the data.
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

# Number of bytes around the data of a record, and in its length field.
_FRAME, _LENGTH = 16, 8
# Number of parallel reads: network disks have a high latency, but answer many requests at once.
_PARALLEL_READS = 16
# Number of records that each parallel reader reads in a row, so that tf.data switches between readers less often.
_RECORDS_PER_READER = 8
# Bytes of a NumPy file before its values.
_LARGEST_HEADER = 4096


class RecordIndex:
    """The records of a split, numbered in the order of its files; takes 12 bytes of memory per record.

    Attributes:
      files: names of the TFRecord files.
    """

    def __init__(self, files: Sequence[str], file_numbers: np.ndarray, offsets: np.ndarray):
        """Stores the location of each record.

        Args:
          files: names of the TFRecord files.
          file_numbers: number of the file that each record is in, [records] int32.
          offsets: offset of each record in its file, [records] int64 bytes.
        """
        self.files = list(files)
        # These are tensors, because a graph would copy arrays. They are on the CPU, because tf.data runs there.
        with tf.device("CPU:0"):
            self._files = tf.constant(self.files)
            self._file_numbers = tf.constant(file_numbers, tf.int32)
            self._offsets = tf.constant(offsets, tf.int64)

    def __len__(self) -> int:
        return self._offsets.shape[0]

    def read(self, numbers: tf.data.Dataset) -> tf.data.Dataset:
        """Reads records in any order.

        Args:
          numbers: dataset of record numbers, int64 [numbers], each in [0, len(self)). Elements with many numbers are
            faster, because the numbers of an element are looked up together.

        Returns:
          The serialized records, each a scalar string, in the order of their numbers.
        """

        # AutoGraph has nothing to convert here, but takes half a second.
        @tf.autograph.experimental.do_not_convert
        def location(record_numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            file_numbers = tf.gather(self._file_numbers, record_numbers)
            return tf.gather(self._files, file_numbers), tf.gather(self._offsets, record_numbers)

        @tf.autograph.experimental.do_not_convert
        def record(file: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
            # This is the op behind tf.data.TFRecordDataset, a class that has no argument for offsets. Without a buffer,
            # the reader reads exactly this record, whose length it knows.
            from_offset = tf.raw_ops.TFRecordDatasetV2(
                filenames=[file], compression_type="", buffer_size=tf.constant(0, tf.int64), byte_offsets=[offset]
            )
            return tf.data.experimental.from_variant(from_offset, tf.TensorSpec([], tf.string)).take(1)

        @tf.autograph.experimental.do_not_convert
        def consecutive_records(files: tf.Tensor, offsets: tf.Tensor) -> tf.data.Dataset:
            return tf.data.Dataset.from_tensor_slices((files, offsets)).flat_map(record)

        # This is not a map with get_single_element, which tf.data would run sequentially under enable_op_determinism.
        consecutive = numbers.map(location).unbatch().batch(_RECORDS_PER_READER)
        return consecutive.interleave(
            consecutive_records,
            cycle_length=_PARALLEL_READS,
            block_length=_RECORDS_PER_READER,
            num_parallel_calls=_PARALLEL_READS,
            deterministic=True,
        )


def path(folder: str | os.PathLike, split: str) -> epath.Path:
    """Returns the path of a split's index."""
    return epath.Path(folder) / f"{split}.index.npy"


def write(folder: str | os.PathLike, split: str, files: Sequence[str]) -> None:
    """Indexes the finished files of a split and stores the index beside them.

    Args:
      folder: folder of the files and of the index.
      split: name of the split.
      files: names of its TFRecord files within `folder`, in order.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file ends in the middle of a record.
    """
    target = path(folder, split)
    offsets = np.concatenate([np.zeros(0, np.int64), *(_scan(epath.Path(folder) / file) for file in files)])
    with replaced(target, "wb") as file:
        np.save(file, offsets)


def load(
    folder: str | os.PathLike, split: str, files: Sequence[str | os.PathLike], lengths: Sequence[int]
) -> RecordIndex:
    """Loads the index of a split and checks that it matches the split's files.

    If there is no stored index, the files are scanned. On a local disk that takes about a second for 100,000 records.

    Args:
      folder: folder of the files and of their index.
      split: name of the split.
      files: its TFRecord files in order (TFDS: `split_info.filepaths`).
      lengths: number of records in each file (TFDS: `split_info.shard_lengths`).

    Returns:
      The index.

    Raises:
      FileNotFoundError: a TFRecord file is missing.
      ValueError: the index does not match these files, or they are damaged; the message says what to do.
    """
    files = [epath.Path(file) for file in files]
    if path(folder, split).exists():
        offsets = _read(path(folder, split), files, lengths)
    else:
        logging.info("%s is missing: scanning %d records", path(folder, split), sum(lengths))
        scanned = [_scan(file) for file in files]
        for file, offsets, length in zip(files, scanned, lengths):
            if len(offsets) != length:
                raise ValueError(f"{file} holds {len(offsets)} records instead of {length}: {_convert_again(folder)}")
        offsets = np.concatenate(scanned)
    file_numbers = np.repeat(np.arange(len(files), dtype=np.int32), lengths)
    return RecordIndex([os.fspath(file) for file in files], file_numbers, offsets)


def _read(source: epath.Path, files: Sequence[epath.Path], lengths: Sequence[int]) -> np.ndarray:
    """Reads the offsets that `write` stored, and checks that they match the records."""
    remedy = "remove it, and the records will be scanned again"
    if source.stat().length > _LARGEST_HEADER + 8 * sum(lengths):  # It would be read whole.
        raise ValueError(f"{source} is not the index of {sum(lengths)} records, but larger: {remedy}")
    try:
        with source.open("rb") as content:
            offsets = np.lib.format.read_array(content, allow_pickle=False)
    except Exception as error:  # NumPy raises errors of many types for damaged headers.
        raise ValueError(f"{source} cannot be read: {remedy}") from error
    if offsets.shape != (sum(lengths),) or offsets.dtype != np.int64:
        raise ValueError(
            f"{source} is not the index of {sum(lengths)} records, but of {offsets.dtype}{offsets.shape}: {remedy}"
        )
    for file, own in zip(files, np.split(offsets, np.cumsum(lengths)[:-1])):
        if not _fits(file, own):
            raise ValueError(f"{source} does not match the records in {file.name}: {remedy}")
    return offsets


def _scan(file: epath.Path) -> np.ndarray:
    """Returns the offsets of all records in a file, [records] int64; reads only the length field of each record."""
    size = _size(file)
    offsets, offset = [], 0
    with file.open("rb") as content:
        while offset < size:
            offsets.append(offset)
            offset = _end(content, offset)
    if offset != size:
        raise ValueError(f"{file} ends in the middle of a record: {_convert_again(file.parent)}")
    return np.asarray(offsets, np.int64)


def _fits(file: epath.Path, offsets: np.ndarray) -> bool:
    """Returns whether offsets can belong to a file: they rise from 0, and the last record ends where the file ends."""
    size = _size(file)
    if not len(offsets):
        return size == 0
    if offsets[0] != 0 or (np.diff(offsets) < _FRAME).any() or offsets[-1] + _FRAME > size:
        return False
    with file.open("rb") as content:
        return _end(content, int(offsets[-1])) == size


def _end(content: BinaryIO, offset: int) -> int:
    """Returns where the record at `offset` ends, which is beyond the end of the file if the file is truncated."""
    content.seek(offset)
    length = content.read(_LENGTH).ljust(_LENGTH, b"\xff")  # If the length itself is truncated, make it very large.
    return offset + _FRAME + int.from_bytes(length, "little")


def _size(file: epath.Path) -> int:
    try:
        return file.stat().length
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{file} is missing: {_convert_again(file.parent)}") from error


def _convert_again(folder: str | os.PathLike) -> str:
    return f"remove {os.fspath(folder)} and convert the dataset again"
