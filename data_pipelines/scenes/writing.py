"""What all layouts share: a folder that appears only when it is whole, and scenes that are drawn in parallel."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import TypeVar

import tqdm

from data_pipelines.scenes import draw, sample, spec

_JPEG_QUALITY = 95
_Result = TypeVar("_Result")


@contextlib.contextmanager
def whole_folder(output: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A folder to write into, which is renamed to `output` at the end, and only if all went well.

    Args:
      output: folder to make; must not exist yet, or be empty.

    Yields:
      An empty folder beside it. What a killed run left there is gone.

    Raises:
      FileExistsError: `output` holds something.
    """
    output = pathlib.Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(f"{output} exists and is not empty: name another folder, or remove it first")
    unfinished = output.with_name(output.name + ".incomplete")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    yield unfinished
    unfinished.replace(output)


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
