"""Exports in which Label Studio, or somebody, has left things out."""

from __future__ import annotations

import json

import pytest

from eval.ranking import answers, design

KEY = design.Key(
    settings={"models": {"a": {}, "b": {}}},
    captions=["one", "two"],
    secret="s",
    comparisons=[design.Comparison("t0", "realism", 0, ("a", "b")), design.Comparison("t1", "realism", 1, ("b", "a"))],
)
RESULT = [{"from_name": "ranking", "value": {"ranker": {"best_to_worst": ["A", "B"]}}}]
GIVEN = {"id": 1, "completed_by": 5, "result": RESULT, "was_cancelled": False}


def _read(tmp_path, *tasks, encoding="utf-8") -> answers.Answers:
    path = tmp_path / "export.json"
    path.write_bytes(json.dumps(tasks).encode(encoding))
    return answers.read([path], KEY)


def _tasks(*given) -> list[dict]:
    """A page with these annotations, and one with a good one."""
    return [
        {"data": {"comparison": "t0"}, "annotations": list(given)},
        {"data": {"comparison": "t1"}, "annotations": [GIVEN]},
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"result": None}, "incomplete"),
        ({"result": None, "was_cancelled": True}, "skipped"),
        ({"result": [None]}, "incomplete"),
        ({"result": [{"from_name": "ranking"}]}, "incomplete"),
        ({"result": [{"from_name": "ranking", "value": None}]}, "incomplete"),
        ({"result": [{"from_name": "ranking", "value": {"ranker": None}}]}, "incomplete"),
        ({"result": [{"from_name": "ranking", "value": {"ranker": {"best_to_worst": None}}}]}, "incomplete"),
        ({"result": [{"from_name": "ranking", "value": {"ranker": []}}]}, "incomplete"),
        ({"result": [{"from_name": "ranking", "value": {"ranker": {"best_to_worst": "AB"}}}]}, "contradictory"),
        ({"result": [{"from_name": "ranking", "value": {"ranker": {"best_to_worst": [None, {}]}}}]}, "contradictory"),
    ],
    ids=str,
)
def test_an_answer_with_gaps_does_not_count_and_the_others_do(tmp_path, change, reason):
    found = _read(tmp_path, *_tasks({**GIVEN, **change}))
    assert [answer.row for answer in found.accepted] == [1]
    assert [left.reason for left in found.left_out] == [reason]


@pytest.mark.parametrize("given", [None, {}], ids=str)
@pytest.mark.parametrize("data", [None, {}, {"comparison": None}], ids=str)
def test_pages_with_gaps_are_unknown(tmp_path, given, data):
    found = _read(tmp_path, None, {"data": data, "annotations": [given]}, *_tasks(GIVEN), {"annotations": None})
    assert len(found.accepted) == 2
    assert {left.reason for left in found.left_out} <= {"unknown"}


@pytest.mark.parametrize("user", [None, {"id": None}, {}], ids=str)
def test_two_deleted_users_are_two(tmp_path, user):
    found = _read(tmp_path, *_tasks({**GIVEN, "completed_by": user}, {**GIVEN, "id": 2, "completed_by": user}))
    assert len(found.accepted) == 3 and len({answer.rater for answer in found.accepted}) == 3


def test_a_user_is_the_same_in_every_form(tmp_path):
    found = _read(tmp_path, *(_tasks({**GIVEN, "completed_by": user})[0] for user in (5, "5", {"id": 5}, {"id": "5"})))
    assert {answer.rater for answer in found.accepted} == {"5"} and len(found.left_out) == 3


@pytest.mark.parametrize("value", [None, [], [None], [{"ranker": None}], {"ranker": {"best_to_worst": None}}], ids=str)
def test_gaps_in_the_short_format(tmp_path, value):
    good = {"comparison": "t1", "annotator": "x@y.z", "annotation_id": 2, "ranking": RESULT[0]["value"]}
    found = _read(tmp_path, {"comparison": "t0", "annotator": None, "annotation_id": None, "ranking": value}, good)
    assert [answer.rater for answer in found.accepted] == ["x@y.z"]
    assert [left.reason for left in found.left_out] == ["incomplete"]


def test_a_byte_order_mark_is_skipped(tmp_path):
    assert len(_read(tmp_path, *_tasks(GIVEN), encoding="utf-8-sig").accepted) == 2


@pytest.mark.parametrize(
    ("tasks", "place"),
    [
        ([5], ": [0]: expected object | null, got int"),
        ([{"annotations": 5}], ": [0]: annotations: expected array | null, got int"),
        ([{"annotations": [{"result": {}}]}], ": [0]: annotations[0].result: expected array | null, got object"),
        ([{"annotations": [{"completed_by": []}]}], ": [0]: annotations[0].completed_by: expected"),
        ([{"ranking": 5}], ": [0]: ranking: expected"),
    ],
    ids=str,
)
def test_what_is_no_export_is_refused_by_its_place(tmp_path, tasks, place):
    with pytest.raises(ValueError) as error:
        _read(tmp_path, *tasks)
    assert f"export.json{place}" in str(error.value)
    assert str(error.value).endswith("this is not an export of a ranking: export it as JSON or JSON-MIN")
