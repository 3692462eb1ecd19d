"""A result of an evaluation: as a file for machines, a table for people, and points of TensorBoard's curves."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import tabulate
import tensorflow as tf

from eval import protocol as protocol_lib
from eval import score
from eval.score import LOWER, Score
from xmcgan.files import replaced


class Result(NamedTuple):
    """What was measured, and everything that must be known to compare it with another."""

    scores: list[Score]  # Of the images.
    real: list[Score]  # Of the dataset's own images of the same captions, where a metric has one.
    images: dict[str, Any]  # What was measured: a run and its step, or a folder.
    protocol: dict[str, Any]  # How: captions, networks, numbers. Equal protocols may stand in one table.
    details: dict[str, Any]  # More than the scores tell, such as SOA by class.

    @property
    def fingerprint(self) -> str:
        """Of the protocol: results with the same one can be compared."""
        return protocol_lib.fingerprint(self.protocol)


def write(path: str, result: Result) -> None:
    """Writes a result as JSON, whole or not at all.

    A result of another protocol that is there is kept, under its name with its fingerprint.

    Args:
      path: such as 'runs/demo/eval/5200.json'.
      result: what to write.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        before = read(path)
        if before.fingerprint != result.fingerprint:
            os.replace(path, displaced(path, before.fingerprint))
    content = {
        "scores": score.to_json(result.scores),
        "real": score.to_json(result.real),
        "pictures": result.images,
        "protocol": result.protocol,
        "fingerprint": result.fingerprint,
        "details": result.details,
    }
    with replaced(path) as file:
        json.dump(content, file, indent=2)


def displaced(path: str, fingerprint: str) -> str:
    """Names where a result goes when one of another protocol takes its place: 'eval/5200_1a2b3c4d.json'."""
    stem, extension = os.path.splitext(path)
    return f"{stem}_{fingerprint[:8]}{extension}"


def read(path: str) -> Result:
    """Reads what `write` wrote.

    Raises:
      ValueError: the file is something else.
    """
    with open(path, encoding="utf-8") as file:
        try:
            content = json.load(file)
            return Result(
                scores=score.from_json(content["scores"]),
                real=score.from_json(content["real"]),
                images=content["pictures"],
                protocol=content["protocol"],
                details=content["details"],
            )
        except (AttributeError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no result of eval.evaluate: remove it, or move it elsewhere") from error


def summarize(workdir: str, step: int, scores: Sequence[Score]) -> None:
    """Adds scores to the run's curves in TensorBoard."""
    writer = tf.summary.create_file_writer(os.path.join(workdir, "tensorboard"))
    with writer.as_default(step=step):
        for each in scores:
            tf.summary.scalar(f"evaluation/{each.name}", each.value)
    writer.close()


def table(results: Sequence[tuple[str, Result]]) -> str:
    """Results of one protocol below each other, as in the paper's Table 2.

    Args:
      results: with a title for each row, such as 'step 5000'.

    Returns:
      Lines for a terminal: a column for each score, with an arrow to its better side; the real images' own scores in
      the last row.
    """
    newest = results[-1][1]
    names = [score.name for score in newest.scores]
    headers = ["", *(f"{score.name} {'↓' if score.better == LOWER else '↑'}" for score in newest.scores)]
    scores = [(title, result.scores) for title, result in results]
    scores += [("real images", newest.real)] if newest.real else []
    rows = [[title, *_cells(row, names)] for title, row in scores]
    align = ["left", *["right"] * len(names)]
    return tabulate.tabulate(rows, headers, tablefmt="plain", colalign=align, disable_numparse=True)


def _cells(scores: Sequence[Score], names: Sequence[str]) -> list[str]:
    """The scores of these names as text; nothing for those that are not there."""
    texts = {score.name: str(score) for score in scores}
    return [texts.get(name, "") for name in names]
