"""Reads rankings of models from Label Studio's exports; also reports the answers that do not count, and why."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional, Union

import msgspec

from eval.ranking import label_studio
from eval.ranking.design import SLOTS, Comparison, Key
from xmcgan import text_files

_Id = Union[int, str, None]
_User = Union[int, str, dict[str, Any], None]

_MAX_BYTES = 4 << 30  # Exports of tasks that contain their images have hundreds of megabytes.

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


class _Result(msgspec.Struct):
    """One control's part of an annotation in the format 'JSON'."""

    from_name: Any = None
    value: Optional[dict[str, Any]] = None


class _Given(msgspec.Struct):
    """An annotation in the format 'JSON'."""

    id: _Id = None
    completed_by: _User = None
    was_cancelled: Optional[bool] = None
    result: Optional[list[Optional[_Result]]] = None


class _Task(msgspec.Struct):
    """A page in the format 'JSON'."""

    data: Optional[dict[str, Any]] = None
    annotations: Optional[list[Optional[_Given]]] = None


class _Minimal(msgspec.Struct):
    """An annotation in the format 'JSON_MIN', which omits skipped pages."""

    comparison: Any = None
    annotation_id: _Id = None
    annotator: _User = None
    ranking: Union[list[Optional[dict[str, Any]]], dict[str, Any], None] = None


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
    ranked = (ranking.get(label_studio.BUCKET) if isinstance(ranking, dict) else None) or []
    known = list(SLOTS[: len(page.models)])
    if not isinstance(ranked, list) or any(ranked.count(slot) > 1 or slot not in known for slot in ranked[:100]):
        return "contradictory", ()
    if len(ranked) < len(known):
        return "incomplete", ()
    return "", tuple(page.models[known.index(slot)] for slot in ranked)


def _read(path: pathlib.Path) -> Iterator[_Annotation]:
    """Yields the annotations of an export, in which anything may be null."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: export the project from Label Studio as JSON")
    with text_files.advice("this is not an export of a ranking: export it as JSON or JSON-MIN"):
        content = text_files.read_json(path, list[Optional[dict[str, Any]]], max_bytes=_MAX_BYTES)
        entries = [
            text_files.check(entry, _Task if "annotations" in entry else _Minimal, f"{path}: [{number}]")
            for number, entry in enumerate(content)
            if entry is not None
        ]
    for entry in entries:
        yield from _read_task(entry, path.name) if isinstance(entry, _Task) else [_read_minimal(entry, path.name)]


def _read_task(task: _Task, file: str) -> Iterator[_Annotation]:
    for number, given in enumerate(task.annotations or [], start=1):
        if given is None:
            continue
        token = str((task.data or {}).get(label_studio.TOKEN))
        annotation = f"{number} of {token}" if given.id is None else str(given.id)
        results = [each for each in given.result or [] if each is not None and each.from_name == label_studio.RANKING]
        yield _Annotation(
            token=token,
            rater=_rater(given.completed_by, annotation, file),
            annotation=annotation,
            skipped=bool(given.was_cancelled),
            rankings=[(result.value or {}).get("ranker") for result in results],
            file=file,
        )


def _read_minimal(entry: _Minimal, file: str) -> _Annotation:
    annotation = f"one of {entry.comparison}" if entry.annotation_id is None else str(entry.annotation_id)
    values = entry.ranking if isinstance(entry.ranking, list) else [entry.ranking] if entry.ranking else []
    return _Annotation(
        token=str(entry.comparison),
        rater=_rater(entry.annotator, annotation, file),
        annotation=annotation,
        skipped=False,
        rankings=[(value or {}).get("ranker") for value in values],
        file=file,
    )


def _rater(user: _User, annotation: str, file: str) -> str:
    """Returns a rater's id or e-mail address, which some exports wrap in a dict.

    A deleted user has none. Nobody can tell which annotations are of the same deleted user, so each is of another one.
    """
    if isinstance(user, dict):
        user = next((user[key] for key in ("id", "email", "username") if user.get(key) is not None), None)
    return f"deleted user ({file}, annotation {annotation})" if user is None else str(user)
