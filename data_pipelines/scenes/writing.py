"""What all layouts share: scenes that are drawn in parallel."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import tqdm

from data_pipelines.scenes import draw, sample, spec

_JPEG_QUALITY = 95
_Result = TypeVar("_Result")


def counts(num_train: int, num_val: int) -> dict[str, int]:
    """Images by split of `sample`.

    Raises:
      ValueError: one of them is less than 1.
    """
    if num_train < 1 or num_val < 1:
        raise ValueError(f"num_train={num_train}, num_val={num_val}: draw at least one scene for each split")
    return dict(zip(sample.SPLITS, (num_train, num_val)))


def each_scene(write: Callable[[int], _Result], count: int, num_processes: int | None, title: str) -> Iterator[_Result]:
    """Yields `write(0)`, ... `write(count - 1)` in this order, worked out by `num_processes` (None: one a core)."""
    # Forked workers run nothing but NumPy and Pillow, and start at once even under a program that imports TensorFlow.
    with multiprocessing.get_context("fork").Pool(num_processes or os.cpu_count() or 1) as pool:
        results = pool.imap(write, range(count), chunksize=16)
        yield from tqdm.tqdm(results, total=count, desc=f"drawing {title}", unit="picture", disable=None)


def write_image(scene: spec.Scene, path: pathlib.Path, image_size: int) -> None:
    """Draws a scene into a JPEG file of `image_size` px a side."""
    draw.draw(scene, image_size).save(path, quality=_JPEG_QUALITY)
