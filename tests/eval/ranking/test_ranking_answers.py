"""Answers that count and answers that do not, in both formats of Label Studio's exports."""

import json
from collections import Counter

import pytest

from eval.ranking import answers, design
from tests.support.simulated_raters import annotation, exported, minimal

MODELS = ("ours", "theirs", "real")
SETTINGS = {"models": {model: {} for model in MODELS}}


@pytest.fixture
def ranking():
    return design.make_key(SETTINGS, ["a cat", "a dog", "a bird"], "secret")


def written(tmp_path, tasks: list, name: str = "export.json"):
    path = tmp_path / name
    path.write_text(json.dumps(tasks))
    return path


def task_of(page, annotations: list, number: int = 1) -> dict:
    return exported({"data": {"comparison": page.token}}, number, annotations)


@pytest.mark.parametrize("change", [list, minimal])
def test_letters_become_models(change, ranking, tmp_path):
    page, other = ranking.comparisons[0], ranking.comparisons[-1]
    tasks = [task_of(page, [annotation(1, 7, ["C", "A", "B"])]), task_of(other, [annotation(2, 8, ["A", "B", "C"])])]
    read = answers.read([written(tmp_path, change(tasks))], ranking)
    assert read.left_out == []
    assert read.accepted == [
        answers.Answer("realism", page.row, "7", (page.models[2], page.models[0], page.models[1])),
        answers.Answer("alignment", other.row, "8", other.models),
    ]


def test_raters_who_are_given_as_dicts(ranking, tmp_path):
    given = annotation(1, 7, ["A", "B", "C"])
    given["completed_by"] = {"id": 7, "email": "someone@example.com"}
    read = answers.read([written(tmp_path, [task_of(ranking.comparisons[0], [given])])], ranking)
    assert read.accepted[0].rater == "7"


def test_answers_that_do_not_count_are_listed(ranking, tmp_path):
    first, second, third = ranking.comparisons[:3]
    without_result = annotation(9, 4, ["A"])
    without_result["result"] = []
    tasks = [
        task_of(
            first,
            [
                annotation(1, 1, ["A", "B", "C"]),
                annotation(2, 1, ["A", "B", "C"]),
                annotation(3, 2, [], skipped=True),
                annotation(4, 3, ["B", "A"], left=("C",)),
                annotation(5, 5, ["B", "A", "A"]),
                annotation(6, 6, ["B", "A", "D"]),
                without_result,
            ],
        ),
        task_of(second, [annotation(10, 1, ["A", "B", "C"]), annotation(11, 1, ["B", "A", "C"])]),
        task_of(third._replace(token="elsewhere"), [annotation(12, 1, ["A", "B", "C"])]),
    ]
    read = answers.read([written(tmp_path, tasks)], ranking)
    assert [(answer.row, answer.rater) for answer in read.accepted] == [(first.row, "1")]
    assert {answer.annotation: answer.reason for answer in read.left_out} == {
        "2": "repeated",
        "3": "skipped",
        "4": "incomplete",
        "5": "contradictory",
        "6": "contradictory",
        "9": "incomplete",
        "10": "contradictory",
        "11": "contradictory",
        "12": "unknown",
    }
    named = {answer.annotation: answer for answer in read.left_out}
    assert named["4"] == answers.LeftOut("incomplete", "realism", ranking.captions[first.row], "3", "export.json", "4")
    assert set(answers.REASONS) == {answer.reason for answer in read.left_out}


def test_an_export_that_is_given_twice_counts_once(ranking, tmp_path):
    tasks = [task_of(page, [annotation(i, 1, ["A", "B", "C"])]) for i, page in enumerate(ranking.comparisons)]
    paths = [written(tmp_path, tasks), written(tmp_path, minimal(tasks), "minimal.json")]
    read = answers.read(paths, ranking)
    assert len(read.accepted) == 6
    assert Counter((answer.reason, answer.file) for answer in read.left_out) == {("repeated", "minimal.json"): 6}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"annotations": [{"id": 1}]}]', '[{"comparison": "a"}]'])
def test_a_file_that_is_not_an_export(text, ranking, tmp_path):
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"export\.json.*(is not an export of a ranking|no answer to a page)"):
        answers.read([path], ranking)


def test_files_of_something_else(ranking, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        answers.read([tmp_path / "none.json"], ranking)
    tasks = [exported({"data": {"text": "a"}}, 1, [annotation(1, 1, ["A", "B", "C"])])]
    with pytest.raises(ValueError, match="no answer to a page of this ranking"):
        answers.read([written(tmp_path, tasks)], ranking)
