"""Says whether a JPEG file is fit to train on."""

from __future__ import annotations

import os

import tensorflow as tf

_START, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


def read_jpeg(path: str | os.PathLike) -> bytes:
    """Reads a JPEG file and proves that it can be decoded to its end.

    The decoder is the one that training uses, told not to fill in missing rows. What it forgives is a file cut
    between its last row and its end marker, and a file of another format under a .jpg name: these are looked for.
    A file damaged such that every row still decodes to something is not told from a good one.

    Args:
      path: of the file.

    Returns:
      The file, byte for byte.

    Raises:
      ValueError: the file is not fit; the message is the reason, in two or three words.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ValueError("missing picture" if isinstance(error, FileNotFoundError) else "unreadable picture") from error
    if not data.startswith(_START):
        raise ValueError("not a JPEG" if data else "empty picture")
    if data.rfind(_END) < data.rfind(_SCAN):
        raise ValueError("truncated JPEG")
    try:
        with tf.device("CPU"):
            tf.io.decode_jpeg(data, channels=3, try_recover_truncated=False)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError("corrupt JPEG") from error
    return data
