from __future__ import annotations

import json

import pytest
import tensorflow as tf

from eval import results, score
from eval.results import Result
from eval.score import HIGHER, LOWER, Estimate, Score


def _result(value=9.33, seed=0):
    return Result(
        scores=[Score("FID/tfgan", value, None, LOWER), Score("R-precision/cc", 71.0, 0.42, HIGHER, "%")],
        real=[Score("R-precision/cc", 69.36, 0.5, HIGHER, "%")],
        images={"run": "coco", "step": 5000},
        protocol={
            "captions": {"num_samples": 30_000, "seed": seed},
            "measures": {"image network tfgan": {"size": 299}},
        },
        details={"seconds": {"all": 1.5}},
    )


def test_scores_in_their_units():
    assert score.percentage("SOA-C/x", Estimate(0.5094)) == Score("SOA-C/x", 50.94, None, HIGHER, "%")
    assert score.percentage("R/x", Estimate(0.71, 0.004)).deviation == pytest.approx(0.4)
    assert score.from_estimate("IS/x", Estimate(30.45, 0.2), HIGHER) == Score("IS/x", 30.45, 0.2, HIGHER)
    assert str(Score("IS/x", 30.456, 0.2, HIGHER)) == "30.46 ± 0.2"
    assert str(Score("R/x", 71.0, None, HIGHER, "%")) == "71 %"


def test_a_result_is_read_back_unchanged(tmp_path):
    path = str(tmp_path / "eval" / "5000.json")
    results.write(path, _result())
    assert results.read(path) == _result()
    assert [file.name for file in (tmp_path / "eval").iterdir()] == ["5000.json"]
    content = json.loads((tmp_path / "eval" / "5000.json").read_text())
    assert content["scores"]["FID/tfgan"]["value"] == 9.33
    assert content["protocol"]["captions"]["num_samples"] == 30_000
    assert content["fingerprint"] == _result(value=8.0).fingerprint != _result(seed=1).fingerprint


def test_a_result_of_another_protocol_is_kept(tmp_path):
    path = tmp_path / "5000.json"
    results.write(str(path), _result(seed=0))
    results.write(str(path), _result(value=9.0, seed=0))  # A result of the same protocol replaces it.
    assert [file.name for file in tmp_path.iterdir()] == ["5000.json"]
    results.write(str(path), _result(seed=1))
    aside = tmp_path / f"5000_{_result(seed=0).fingerprint[:8]}.json"
    assert results.read(str(path)) == _result(seed=1)
    assert results.read(str(aside)) == _result(value=9.0, seed=0)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"scores": 1, "real": {}}'])
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "1.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"1\.json.*: this is not a result of eval\.evaluate: remove it") as error:
        results.read(str(path))
    assert "\n" not in str(error.value)


def test_the_table():
    lines = results.table([("step 1", _result(20.0)), ("step 2", _result())]).splitlines()
    assert lines[0].split() == ["FID/tfgan", "↓", "R-precision/cc", "↑"]
    assert [line.split("  ")[0] for line in lines[1:]] == ["step 1", "step 2", "real images"]
    assert lines[1].split() == ["step", "1", "20", "71", "±", "0.42", "%"]
    assert lines[3].split() == ["real", "images", "69.36", "±", "0.5", "%"]  # Real images have no FID.
    assert len({line.index("%") for line in lines[1:]}) == 1  # The columns are aligned.


def test_curves(tmp_path):
    results.summarize(str(tmp_path), 5000, _result().scores)
    events = {}
    for path in (tmp_path / "tensorboard").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                events[value.tag] = (event.step, float(tf.make_ndarray(value.tensor)))
    assert events["evaluation/FID/tfgan"] == (5000, pytest.approx(9.33))
    assert events["evaluation/R-precision/cc"] == (5000, 71.0)
