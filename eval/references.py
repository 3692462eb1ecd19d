"""Caches the reference statistics of the real images, so that they are computed once, not in every evaluation."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import tensorflow as tf
from absl import logging

from data_pipelines import records
from data_pipelines.input_pipeline import CaptionList
from eval import score
from eval.collection import collect
from eval.measures.measure import Measure, Reference
from eval.protocol import fingerprint
from eval.sources import Source
from xmcgan import text_files
from xmcgan.files import READ_ONLY, replaced
from xmcgan.locks import locked

_SCORES = "scores"


class _Note(msgspec.Struct):
    identity: Any
    scores: dict[str, score.Fields]


def find_references(
    measures: Sequence[Measure],
    source: Source,
    listed: CaptionList,
    *,
    dataset: str,
    data_dir: str,
    captions_identity: dict[str, Any],
    strategy: tf.distribute.Strategy,
    batch_size: int,
) -> list[Reference]:
    """Returns the reference of each measure; reads it from the dataset's folder, or computes it and writes it there.

    If that folder cannot be written to, computed references are used only once, with a warning. A file's
    name contains a fingerprint of the list of captions, the size of the images, the network and its weights. If any of
    these changes, another file is used.

    Args:
      measures: the measures that need references.
      source: the real images of the list.
      listed: captions and image ids, in the same order.
      dataset: name of the dataset.
      data_dir: folder of all records.
      captions_identity: everything that the list of captions depends on.
      strategy: see `collect`.
      batch_size: see `collect`.

    Returns:
      One reference for each measure, in their order.
    """
    folder = os.fspath(records.directory(dataset, data_dir).parent / "evaluation")
    identities = [
        {"captions": captions_identity, "source": source.identity, "measure": measure.identity} for measure in measures
    ]
    paths = [os.path.join(folder, f"real_{fingerprint(identity)[:20]}.npz") for identity in identities]
    found = [_read(path, identity) for path, identity in zip(paths, identities)]
    if all(found):  # Nothing is written then, as on a read-only disk.
        return [reference for reference in found if reference is not None]
    with _writable(folder) as target:  # Evaluations of several runs may need the same references at the same time.
        found = [reference or _read(path, identity) for reference, path, identity in zip(found, paths, identities)]
        missing = [index for index, reference in enumerate(found) if reference is None]
        if missing:
            missing_measures = [measures[index] for index in missing]
            titles = " and ".join(each.title for each in missing_measures)
            logging.info("computing reference statistics of %d real images (once), with %s", source.size, titles)
            missing_identities = [identities[index] for index in missing]
            seen = collect(
                source,
                missing_measures,
                os.path.join(target, f"incomplete.{fingerprint(missing_identities)[:20]}"),
                strategy=strategy,
                batch_size=batch_size,
                identity={"measures": missing_identities},
                title="real images",
            )
            for index in missing:
                reference = found[index] = measures[index].refer(seen, listed)
                _write(os.path.join(target, os.path.basename(paths[index])), reference, identities[index])
            seen.remove()
    return [reference for reference in found if reference is not None]  # All of them.


@contextlib.contextmanager
def _writable(folder: str) -> Iterator[str]:
    """Locks the folder of references and yields it, or a temporary folder if it cannot be written to."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            logging.warning(
                "%s (%s): the statistics of the real images are not kept, and the next evaluation computes them again",
                folder,
                error.strerror,
            )
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        yield folder


def _write(path: str, reference: Reference, identity: dict[str, Any]) -> None:
    note = {"identity": identity, "scores": score.to_json(reference.scores)}
    with replaced(path, "wb") as file:
        arrays = {**reference.arrays, _SCORES: np.array(json.dumps(note))}
        np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy's types take each keyword for `allow_pickle`.


def _read(path: str, identity: dict[str, Any]) -> Reference | None:
    """Reads a reference; None if it is missing, damaged, or the reference of something else."""
    if not os.path.exists(path):
        return None
    try:
        with np.load(path) as arrays:
            note = text_files.parse_json(str(arrays[_SCORES]), _Note, path)
            reference = Reference(
                {name: arrays[name] for name in arrays.files if name != _SCORES}, score.from_json(note.scores)
            )
        if fingerprint(note.identity) == fingerprint(identity):
            return reference
        logging.warning("%s is the reference of other images or another network: it is made again", path)
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        logging.warning("%s is damaged: it is made again", path)
    return None
