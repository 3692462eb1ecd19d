"""What is kept of the real images, so that they are looked at once and not at every evaluation."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from typing import Any

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
from xmcgan.files import locked, replaced

_SCORES = "scores"


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
    """The reference of each measure: read from the dataset's folder, or made and put there.

    A file belongs to the list of captions, the size of the images, the network and its weights, all of which are in
    its name as a fingerprint: another of them means another file.

    Args:
      measures: to be referred to.
      source: the list's own images.
      listed: captions and image ids, in the same order.
      dataset: name of the dataset.
      data_dir: folder of all records.
      captions_identity: everything that decides the list.
      strategy: see `collect`.
      batch_size: see `collect`.

    Returns:
      One for each measure.
    """
    folder = os.fspath(records.directory(dataset, data_dir).parent / "evaluation")
    identities = [
        {"captions": captions_identity, "source": source.identity, "measure": measure.identity} for measure in measures
    ]
    paths = [os.path.join(folder, f"real_{fingerprint(identity)[:20]}.npz") for identity in identities]
    with locked(folder):  # Evaluations of several runs need the same, and begin at once.
        missing = [index for index, path in enumerate(paths) if not os.path.exists(path)]
        if missing:
            lacking = [measures[index] for index in missing]
            logging.info(
                "looking at %d real images by %s, once", source.size, " and ".join(each.title for each in lacking)
            )
            missing_identities = [identities[index] for index in missing]
            seen = collect(
                source,
                lacking,
                os.path.join(folder, f"incomplete.{fingerprint(missing_identities)[:20]}"),
                strategy=strategy,
                batch_size=batch_size,
                identity={"measures": missing_identities},
                title="real images",
            )
            for index in missing:
                _write(paths[index], measures[index].refer(seen, listed), identities[index])
            seen.remove()
    return [_read(path) for path in paths]


def _write(path: str, reference: Reference, identity: dict[str, Any]) -> None:
    note = {"identity": identity, "scores": score.to_json(reference.scores)}
    with replaced(path, "wb") as file:
        np.savez(file, **reference.arrays, **{_SCORES: np.array(json.dumps(note))})


def _read(path: str) -> Reference:
    try:
        with np.load(path) as arrays:
            note = json.loads(str(arrays[_SCORES]))
            return Reference(
                {name: arrays[name] for name in arrays.files if name != _SCORES}, score.from_json(note["scores"])
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: remove it, and the real images are looked at again") from error
