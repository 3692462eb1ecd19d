"""Both commands, from captions to Fig. 3, with simulated raters between them."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.support.processes import finish
from tests.support.simulated_raters import annotation, exported, minimal

QUESTIONS = ("realism", "alignment")


@pytest.fixture(scope="module")
def ranking(command, folders, scenes_dir, tmp_path_factory):
    """The folder of a ranking."""
    output = tmp_path_factory.mktemp("commands") / "ranking"
    models = [f"--model={name}={folder}" for name, folder in folders.items()]
    process = command(
        "eval.export_ranking",
        "--dataset=scenes",
        f"--data_dir={scenes_dir}",
        *models,
        "--model=real=dataset",
        "--num_captions=12",
        "--seed=3",
        "--image_size=32",
        f"--output={output}",
    )
    assert f"import {output}/label_studio" in finish(process)
    return output


def colour_order(output, task: dict, first: str) -> list[str]:
    """The letters of a page in the order of a rater who likes one color best, then images of neither color."""
    balances = {}
    for item in task["data"]["pictures"]:
        path = item["html"].split("?d=")[1].split(")")[0]
        mean = np.asarray(Image.open(output / "label_studio" / path)).mean(axis=(0, 1))
        balances[item["id"]] = mean[0] - mean[2]
    return sorted(balances, key=balances.get, reverse=first == "red")


def test_round_trip(ranking, command, tmp_path):
    """For realism all raters like red best. For alignment one of five likes blue best, and leaves a page incomplete."""
    paths = []
    for question, change in zip(QUESTIONS, (list, minimal)):
        tasks = []
        for number, task in enumerate(json.loads((ranking / f"label_studio/{question}/tasks.json").read_text())):
            given = []
            for rater in range(5):
                likes = "blue" if question == "alignment" and rater == 4 else "red"
                letters = colour_order(ranking, task, likes)
                left = tuple(letters[2:]) if likes == "blue" and number == 0 else ()
                given.append(annotation(5 * number + rater, rater, letters[:2] if left else letters, left))
            tasks.append(exported(task, number, given))
        paths.append(tmp_path / f"{question}.json")
        paths[-1].write_text(json.dumps(change(tasks)))
    arguments = [f"--ranking={ranking}", *(f"--answers={path}" for path in paths), f"--output={tmp_path}/results"]
    printed = finish(command("eval.analyse_ranking", *arguments))
    results = tmp_path / "results"
    assert {path.name for path in results.iterdir()} == {
        "fig3.png",
        "fig3.pdf",
        "results.md",
        "results.csv",
        "results.json",
        "left_out.csv",
    }
    assert (results / "results.md").read_text() in printed
    printed = " ".join(printed.split())  # Columns are padded.
    assert "| zebra | 100.0 % [100.0, 100.0] | 0.0 % | 0.0 % | 1.00 [1.00, 1.00] |" in printed
    assert "| alignment | incomplete | not every image was ranked | 1 |" in printed
    content = json.loads((results / "results.json").read_text())
    realism, alignment = (content["questions"][question] for question in QUESTIONS)
    assert realism == {
        "answers": 60,
        "raters": 5,
        "captions": 12,
        "answers_per_caption": {"5": 12},
        "kendalls_w": 1.0,
        "krippendorffs_alpha": 1.0,
    }
    assert alignment["answers"] == 59 and alignment["answers_per_caption"] == {"4": 1, "5": 11}
    assert alignment["kendalls_w"] == pytest.approx((11 * 0.36 + 1) / 12)  # Four against one: ((4 - 1) / 5)^2.
    (left_out,) = content["left_out"]
    assert (left_out["reason"], left_out["rater"], left_out["file"]) == ("incomplete", "4", "alignment.json")
    table = list(csv.DictReader(io.StringIO((results / "results.csv").read_text())))
    places = {
        (line["question"], line["model"]): float(line["value"])
        for line in table
        if line["measure"] == "share_at_place" and line["against"] == "1"
    }
    assert places["realism", "zebra"] == 1 and places["realism", "walrus"] == 0
    assert places["alignment", "zebra"] == pytest.approx(48 / 59)
    assert places["alignment", "walrus"] == pytest.approx(11 / 59)
    wins = {(line["question"], line["model"], line["against"]): float(line["value"]) for line in table}
    assert wins["alignment", "walrus", "zebra"] == pytest.approx(11 / 59)
    assert wins["alignment", "real", "zebra"] == pytest.approx(11 / 59)
    with Image.open(results / "fig3.png") as figure:
        assert np.asarray(figure.convert("RGB")).std() > 30
    assert (results / "fig3.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    "module, arguments, status, message",
    [
        ("eval.export_ranking", ["--dataset=scenes"], 2, "0 models cannot be ranked"),
        (
            "eval.export_ranking",
            ["--dataset=scenes", "--data_dir={here}", "--model=a=x", "--model=b=y"],
            1,
            "no records of dataset 'scenes'",
        ),
        ("eval.analyse_ranking", ["--ranking={ranking}"], 2, "--answers is missing"),
        ("eval.analyse_ranking", ["--ranking={here}", "--answers=a"], 1, "python -m eval.export_ranking --output="),
        ("eval.analyse_ranking", ["--ranking={ranking}", "--answers={here}/empty"], 1, "none of the 0 answers counts"),
    ],
)
def test_mistakes_end_in_one_line(module, arguments, status, message, ranking, command, tmp_path):
    (tmp_path / "empty").write_text("[]")
    process = command(module, *(argument.format(here=tmp_path, ranking=ranking) for argument in arguments))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == status
    assert errors.splitlines()[-1].startswith("error: ") and message in errors.splitlines()[-1]
    assert "Traceback" not in errors
