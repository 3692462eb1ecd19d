"""Runs networks on all images of a source, on all replicas, and keeps their outputs in files.

The outputs are written part by part, so that an interrupted collection resumes where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np
import tensorflow as tf
import tqdm
from absl import logging

from eval.measures.measure import Measure, Seen
from eval.sources import Source
from xmcgan.files import replaced

# Number of images whose rows are written together, which is the most that an interruption can lose.
_PART = 1024
_NOTE = "collection.json"
_SECONDS_BETWEEN_LINES = 30.0


class Collection(Seen):
    """The rows of all images, kept in files."""

    def __init__(self, folder: str, num_parts: int, seconds: float, forward_seconds: float):
        """Stores the folder and the times.

        Args:
          folder: folder of the parts that `collect` wrote.
          num_parts: number of the parts.
          seconds: how long this process took to collect them.
          forward_seconds: the part of `seconds` spent on forward passes, and on waiting for them.
        """
        self.seconds, self.forward_seconds = seconds, forward_seconds
        self._folder, self._num_parts = folder, num_parts

    def parts(self, name: str) -> Iterator[np.ndarray]:
        """See `Seen.parts`."""
        for part in range(self._num_parts):
            with np.load(_part_path(self._folder, part)) as rows:
                yield rows[name]

    def remove(self) -> None:
        """Removes the files."""
        shutil.rmtree(self._folder, ignore_errors=True)


def collect(
    source: Source,
    measures: Sequence[Measure],
    folder: str,
    *,
    strategy: tf.distribute.Strategy,
    batch_size: int,
    identity: dict[str, Any],
    title: str,
) -> Collection:
    """Runs the network of every measure on every image.

    Args:
      source: the images.
      measures: the measures; each one's `look` runs on every image.
      folder: folder for the rows. If it has rows of the same identity, the collection resumes: only parts that are
        missing or damaged are made. Other rows are removed.
      strategy: its replicas share each batch.
      batch_size: images in a batch, over all replicas; rounded up to a multiple of the number of replicas.
      identity: everything that the rows depend on.
      title: title of the progress bar.

    Returns:
      The complete collection.
    """
    replicas = strategy.num_replicas_in_sync
    batch_size = -(-batch_size // replicas) * replicas
    part_size = max(1, round(_PART / batch_size)) * batch_size
    _claim(folder, {"identity": identity, "size": source.size, "part_size": part_size})
    sizes = [min(part_size, source.size - first) for first in range(0, source.size, part_size)]
    missing = [part for part, size in enumerate(sizes) if not _is_whole(_part_path(folder, part), size)]
    done = source.size - sum(sizes[part] for part in missing)
    if 0 < done < source.size:
        logging.info("%s: resuming, %d of %d images are done", title, done, source.size)

    start, forward_seconds = time.perf_counter(), 0.0
    progress = _Progress(title, source.size, done)
    look = _compile_look(source, measures, strategy, batch_size)
    batches: Iterator[dict[str, tf.Tensor]] = iter(())
    for part in missing:
        if part - 1 not in missing:  # The parts before it are done.
            batches = iter(source.batches(part * part_size, batch_size))
        rows: list[dict[str, np.ndarray]] = []
        for _ in range(-(-sizes[part] // batch_size)):
            batch = next(batches)
            began = time.perf_counter()
            rows.append(look(batch))
            forward_seconds += time.perf_counter() - began
            progress.add(len(next(iter(rows[-1].values()))))
        _write_part(folder, part, {name: np.concatenate([each[name] for each in rows]) for name in rows[0]})
    progress.close()
    return Collection(folder, len(sizes), time.perf_counter() - start, forward_seconds)


def _compile_look(
    source: Source, measures: Sequence[Measure], strategy: tf.distribute.Strategy, batch_size: int
) -> Callable[[dict[str, tf.Tensor]], dict[str, np.ndarray]]:
    """Makes a function that maps a batch of `source` to the rows of all measures: arrays [batch, ...] by name."""
    rows_of_replica = batch_size // strategy.num_replicas_in_sync

    @tf.autograph.experimental.do_not_convert  # Converting the layers would take most of the tracing.
    def look(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        images = source.images(batch)
        return {name: rows for measure in measures for name, rows in measure.look(images).items()}

    @tf.function(autograph=False)
    def run(batch: Any) -> Any:
        return strategy.run(look, args=(batch,))

    def look_at(batch: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
        size = next(iter(batch.values())).shape[0]
        padding = batch_size - size  # The last batch is padded, to avoid retracing.
        if padding:
            batch = {name: tf.concat([rows, tf.repeat(rows[-1:], padding, axis=0)], 0) for name, rows in batch.items()}

        def replica_rows(context: tf.distribute.ValueContext) -> dict[str, tf.Tensor]:
            first = context.replica_id_in_sync_group * rows_of_replica
            return {name: rows[first : first + rows_of_replica] for name, rows in batch.items()}

        seen = run(strategy.experimental_distribute_values_from_function(replica_rows))
        return {
            name: np.concatenate([each.numpy() for each in strategy.experimental_local_results(rows)])[:size]
            for name, rows in seen.items()
        }

    return look_at


def _claim(folder: str, note: dict[str, Any]) -> None:
    """Reserves `folder` for the collection that `note` describes; removes what another collection left in it."""
    path = os.path.join(folder, _NOTE)
    content = json.dumps(note, indent=2, sort_keys=True).encode()
    if os.path.isfile(path):
        with open(path, "rb") as file:
            if file.read() == content:
                return
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with replaced(path, "wb") as file:
        file.write(content)


def _part_path(folder: str, part: int) -> str:
    return os.path.join(folder, f"part_{part:05d}.npz")


def _is_whole(path: str, size: int) -> bool:
    """Returns whether a part's file can be read to its end and has the rows of `size` images."""
    if not os.path.exists(path):
        return False
    try:
        with np.load(path) as rows:
            return all(len(rows[name]) == size for name in rows.files)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        logging.warning("%s is damaged: it is made again", path)
        return False


def _write_part(folder: str, part: int, rows: dict[str, np.ndarray]) -> None:
    with replaced(_part_path(folder, part), "wb") as file:
        np.savez(file, **rows)  # type: ignore[arg-type]  # NumPy's types take each keyword for `allow_pickle`.


class _Progress:
    """A progress bar on a terminal; otherwise a line in the log from time to time."""

    def __init__(self, title: str, total: int, done: int):
        # disable=None: only on a terminal.
        self._bar = tqdm.tqdm(total=total, initial=done, desc=title, unit="image", disable=None, dynamic_ncols=True)
        self._title, self._total, self._first, self._done = title, total, done, done
        self._start = self._last = time.monotonic()

    def add(self, images: int) -> None:
        self._done += images
        self._bar.update(images)
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES or not self._bar.disable:
            return
        self._last = now
        rate = (self._done - self._first) / (now - self._start)
        left = (self._total - self._done) / rate
        logging.info("%s: %d/%d  %.1f images/s  %.0f s left", self._title, self._done, self._total, rate, left)

    def close(self) -> None:
        self._bar.close()
