"""Reads rankings of models from Label Studio's exports; also reports the answers that do not count, and why."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from eval.ranking import label_studio
from eval.ranking.design import SLOTS, Comparison, Key

# Why an answer does not count.
REASONS = {
    "skipped": "the rater skipped the page",
    "incomplete": "not every image was ranked",
    "contradictory": "an image has two places, or the rater ranked the page twice, differently",
    "repeated": "the rater ranked the page twice, in the same way",
    "unknown": "the page does not belong to this ranking",
}


class Answer(NamedTuple):
    """One rater's ranking of one page."""

    question: str
    row: int  # Row of the caption in the list.
    rater: str
    models: tuple[str, ...]  # From best to worst.


class LeftOut(NamedTuple):
    """An answer that does not count."""

    reason: str  # A key of REASONS.
    question: str  # Empty if the page is unknown.
    caption: str  # Empty if the page is unknown.
    rater: str
    file: str
    annotation: str  # Id in Label Studio.


class Answers(NamedTuple):
    """All answers of some exports."""

    accepted: list[Answer]
    left_out: list[LeftOut]


class _Annotation(NamedTuple):
    """An annotation, as read from an export."""

    token: str
    rater: str
    annotation: str
    skipped: bool
    rankings: list[Any]  # Values of the `Ranker`; a valid annotation has exactly one.
    file: str


def read(paths: Sequence[pathlib.Path], key: Key) -> Answers:
    """Reads exports in the formats 'JSON' and 'JSON_MIN'.

    The same id or e-mail address means the same rater in all files. If a rater ranked a page twice, equal answers count
    once, and different answers do not count at all.

    Args:
      paths: paths of the exports, of one question or both.
      key: key of the ranking.

    Returns:
      Every annotation in the files, accepted or left out.

    Raises:
      FileNotFoundError: a file does not exist.
      ValueError: a file is not such an export, or none of its answers belongs to this ranking.
    """
    pages = {page.token: page for page in key.comparisons}
    left_out: list[LeftOut] = []
    first: dict[tuple[str, str], tuple[_Annotation, Answer]] = {}
    contradicted: set[tuple[str, str]] = set()

    def leave_out(given: _Annotation, reason: str) -> None:
        page = pages.get(given.token)
        question, caption = (page.question, key.captions[page.row]) if page else ("", "")
        left_out.append(LeftOut(reason, question, caption, given.rater, given.file, given.annotation))

    for path in paths:
        all_given = list(_read(path))
        if all_given and not any(given.token in pages for given in all_given):
            raise ValueError(f"{path} has no answer to a page of this ranking: give the --ranking that it belongs to")
        for given in all_given:
            page = pages.get(given.token)
            if page is None:
                leave_out(given, "unknown")
                continue
            reason, models = _judge(given, page)
            place = (given.token, given.rater)
            if reason:
                leave_out(given, reason)
            elif place not in first:
                first[place] = given, Answer(page.question, page.row, given.rater, models)
            elif first[place][1].models == models:
                leave_out(given, "repeated")
            else:
                leave_out(given, "contradictory")
                contradicted.add(place)
    for place in sorted(contradicted):
        leave_out(first.pop(place)[0], "contradictory")
    return Answers([answer for _, answer in first.values()], left_out)


def _judge(given: _Annotation, page: Comparison) -> tuple[str, tuple[str, ...]]:
    """Returns the reason why an annotation does not count, or ''; and the models from best to worst if it counts."""
    if given.skipped:
        return "skipped", ()
    if len(given.rankings) != 1:
        return ("contradictory" if given.rankings else "incomplete"), ()
    ranking = given.rankings[0]
    ranked = ranking.get(label_studio.BUCKET, []) if isinstance(ranking, dict) else []
    known = SLOTS[: len(page.models)]
    if len(set(ranked)) < len(ranked) or not set(ranked) <= set(known):
        return "contradictory", ()
    if len(ranked) < len(known):
        return "incomplete", ()
    return "", tuple(page.models[known.index(slot)] for slot in ranked)


def _read(path: pathlib.Path) -> Iterator[_Annotation]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: export the project from Label Studio as JSON")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, list):
            raise TypeError("not a list of tasks")
        for task in content:
            if "annotations" in task:
                yield from _read_task(task, path.name)
            else:
                yield _read_minimal(task, path.name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not an export of a ranking ({error!r}): export it as JSON or JSON-MIN") from error


def _read_task(task: dict[str, Any], file: str) -> Iterator[_Annotation]:
    """Yields the annotations of a task in the format 'JSON'."""
    for annotation in task["annotations"]:
        results = [result for result in annotation["result"] if result.get("from_name") == label_studio.RANKING]
        yield _Annotation(
            token=str(task["data"].get(label_studio.TOKEN)),
            rater=_rater(annotation["completed_by"]),
            annotation=str(annotation["id"]),
            skipped=bool(annotation.get("was_cancelled")),
            rankings=[result["value"]["ranker"] for result in results],
            file=file,
        )


def _read_minimal(entry: dict[str, Any], file: str) -> _Annotation:
    """Reads an annotation in the format 'JSON_MIN', which omits skipped pages."""
    values = entry.get(label_studio.RANKING) or []
    return _Annotation(
        token=str(entry.get(label_studio.TOKEN)),
        rater=_rater(entry["annotator"]),
        annotation=str(entry["annotation_id"]),
        skipped=False,
        rankings=[value["ranker"] for value in (values if isinstance(values, list) else [values])],
        file=file,
    )


def _rater(user: Any) -> str:
    """Returns a rater's id, which some exports wrap in a dict."""
    return str(user["id"] if isinstance(user, dict) else user)
