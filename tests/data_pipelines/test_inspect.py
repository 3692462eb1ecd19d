"""The command, as a user runs it."""

from __future__ import annotations

import json

import pytest

from data_pipelines import records
from data_pipelines.inspection import report
from tests.support import letters


def test_command_line(command, data_dir, ln_coco_data_dir, tmp_path):
    letters.save_preprocessor(tmp_path / "letters")
    sheet, numbers = tmp_path / "sheets" / "coco.html", tmp_path / "numbers.json"
    with_tokens = command(
        "data_pipelines.inspect",
        "--dataset=coco2014",
        f"--data_dir={data_dir}",
        f"--config.text.preprocessor={tmp_path / 'letters'}",
        "--config.data.text_length=40",
        f"--sheet={sheet}",
        f"--output={numbers}",
        "--num_samples=4",
    )
    without = command(
        "data_pipelines.inspect",
        "--dataset=ln_coco",
        f"--data_dir={ln_coco_data_dir}",
        "--split=validation",
        f"--config.text.preprocessor={tmp_path / 'nowhere'}",
    )
    output, errors = with_tokens.communicate()
    assert with_tokens.returncode == 0, errors
    lines = output.splitlines()
    assert lines[-2:] == [f"numbers in {numbers}", f"sheet in {sheet}"]
    assert "samples (images)" in output and "differs: 45 of 82,783 images published" in output
    content = json.loads(numbers.read_text())
    captions = [
        caption.decode()
        for example in records.open_dataset("coco2014", data_dir).as_dataset(split="train").as_numpy_iterator()
        for caption in example["captions"]
    ]
    tokens = [letters.num_tokens(caption) for caption in captions]
    train = content["splits"]["train"]
    assert (train["pictures"], train["captions"]) == (45, len(captions))
    assert train["tokens_per_caption"]["mean"] == pytest.approx(sum(tokens) / len(tokens))
    assert train["cut"]["share"] == pytest.approx(sum(number > 40 for number in tokens) / len(tokens))
    assert content["table1"][0]["verdict"] == "differs: 45 of 82,783 images published"
    assert sheet.read_text().count("<article") == 4

    output, errors = without.communicate()
    assert without.returncode == 0, errors
    assert "Traceback" not in errors and "warning: Tokens are not counted: --config.text.preprocessor=" in errors
    assert "not counted" in output and "pass --config.text.preprocessor=FOLDER" in output
    assert output.splitlines()[-1] == f"sheet in {ln_coco_data_dir / 'inspect_ln_coco.html'}"
    (ln_coco_data_dir / "inspect_ln_coco.html").unlink()


def test_mistakes_are_told(data_dir, tmp_path):
    with pytest.raises(ValueError, match=r"--split=val: coco2014 has no such split: choose one of train, validation"):
        report.choose_splits("coco2014", data_dir, "val")
    with pytest.raises(FileNotFoundError, match=r"python -m data_pipelines.convert --dataset=coco2014"):
        report.choose_splits("coco2014", tmp_path, None)
