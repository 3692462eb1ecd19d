"""Finds images of equal content."""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import os
from collections.abc import Sequence

from data_pipelines.layouts.listing import ListedImage
from data_pipelines.layouts.tree import Tree


def digests_of(tree: Tree, images: Sequence[ListedImage]) -> list[str]:
    """Returns what is equal for images whose files are equal, byte for byte.

    Only files of equal size are read.

    Args:
      tree: the files of the source.
      images: the images.

    Returns:
      A digest for each image; empty if no other has its size, or if it cannot be read.
    """
    digests = [image.digest for image in images]
    files = [index for index, image in enumerate(images) if image.path and not image.archive]
    with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        sizes = dict(zip(files, pool.map(lambda index: _size(tree, images[index].path), files)))
        counts = collections.Counter(sizes.values())
        alike = [index for index, size in sizes.items() if size and counts[size] > 1]
        for index, digest in zip(alike, pool.map(lambda index: _digest(tree, images[index].path), alike)):
            digests[index] = digest
    return digests


def digest_of(content: bytes) -> str:
    """Returns the digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _size(tree: Tree, path: str) -> int:
    try:
        return (tree.root / path).stat().length
    except OSError:
        return 0


def _digest(tree: Tree, path: str) -> str:
    try:
        return digest_of((tree.root / path).read_bytes())
    except OSError:
        return ""
