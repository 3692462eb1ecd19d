"""The result of an evaluation: as a JSON file, as a table, and as TensorBoard scalars."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import tabulate
import tensorflow as tf

from eval import protocol as protocol_lib
from eval import score
from eval.score import LOWER, Score
from xmcgan import escapes, text_files
from xmcgan.files import replaced
from xmcgan.training import summaries


class Result(NamedTuple):
    """The scores, and everything that must be known to compare them with other results."""

    scores: list[Score]  # Of the measured images.
    real: list[Score]  # Of the real images of the same captions, for the metrics that have such a score.
    images: dict[str, Any]  # Which images were measured: those of a run and a step, or of a folder.
    protocol: dict[str, Any]  # Captions, networks and settings. Results of equal protocols may share a table.
    details: dict[str, Any]  # Anything beyond the scores, such as SOA by class.

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the protocol. Results with equal fingerprints can be compared."""
        return protocol_lib.fingerprint(self.protocol)


class _Content(msgspec.Struct):
    """The JSON values of a result."""

    scores: dict[str, score.Fields]
    real: dict[str, score.Fields]
    pictures: dict[str, Any]
    protocol: dict[str, Any]
    details: dict[str, Any]


def write(path: str, result: Result) -> None:
    """Writes a result as JSON, atomically.

    An existing result of another protocol is kept: it is renamed, see `displaced`.

    Args:
      path: file to write, such as 'runs/demo/eval/5200.json'.
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
    """Returns the new name of a result that another protocol's result replaces, such as 'eval/5200_1a2b3c4d.json'."""
    stem, extension = os.path.splitext(path)
    return f"{stem}_{fingerprint[:8]}{extension}"


def read(path: str) -> Result:
    """Reads a result that `write` wrote.

    Raises:
      ValueError: the file is not a result.
    """
    with text_files.advice("this is not a result of eval.evaluate: remove it, or move it elsewhere"):
        content = text_files.read_json(path, _Content)
    return Result(
        scores=score.from_json(content.scores),
        real=score.from_json(content.real),
        images=content.pictures,
        protocol=content.protocol,
        details=content.details,
    )


def summarize(workdir: str, step: int, scores: Sequence[Score]) -> None:
    """Writes scores to the run's TensorBoard curves."""
    writer = summaries.create_writer(workdir)
    with writer.as_default(step=step):
        for each in scores:
            tf.summary.scalar(f"evaluation/{each.name}", each.value)
    writer.close()


def table(results: Sequence[tuple[str, Result]]) -> str:
    """Formats results of one protocol as a table, one row each, as in the paper's Table 2.

    Args:
      results: pairs of a row title, such as 'step 5000', and a result.

    Returns:
      The table as text: a column for each score, with an arrow that shows whether lower or higher is better. The last
      row has the scores of the real images.
    """
    newest = results[-1][1]
    names = [score.name for score in newest.scores]
    headers = ["", *(f"{score.name} {'↓' if score.better == LOWER else '↑'}" for score in newest.scores)]
    scores = [(title, result.scores) for title, result in results]
    scores += [("real images", newest.real)] if newest.real else []
    rows = [[title, *_cells(row, names)] for title, row in scores]
    align = ["left", *["right"] * len(names)]
    rows, headers = [list(map(escapes.terminal, row)) for row in rows], list(map(escapes.terminal, headers))
    return tabulate.tabulate(rows, headers, tablefmt="plain", colalign=align, disable_numparse=True)


def _cells(scores: Sequence[Score], names: Sequence[str]) -> list[str]:
    """Returns the scores of the given names as text; an empty string where there is none."""
    texts = {score.name: str(score) for score in scores}
    return [texts.get(name, "") for name in names]
