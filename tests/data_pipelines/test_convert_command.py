"""`python -m data_pipelines.convert` as a user meets it: its help, its errors, what it prints."""

from __future__ import annotations

import re

import pytest

from data_pipelines import records


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--dataset is missing"),
        (["--dataset=flowers"], "choose one of coco2014, ln_coco, ln_openimages, scenes, captioned_images, or convert"),
        (["--dataset=captioned_images", "--source=x"], "--name is missing: give the folder of your images, and a name"),
        (["--dataset=captioned_images", "--source=x", "--name=a/b"], "use letters, digits and '_', such as --name=bi"),
        (["--dataset=coco2014", "--source=x", "--name=birds"], "--name is for your own images"),
        (["--dataset=ln_coco"], "--source is missing: the folder with the published files of ln_coco"),
        (["--dataset=scenes", "--download"], "--download does not apply to scenes: its files are not published"),
        (["--dataset=ln_coco", "--source=x", "--captions_only"], "--captions_only needs --download"),
        (["--dataset=ln_coco", "--source=x", "--beam_options=--x=1"], "--beam_options needs --beam_runner"),
        (["--dataset=scenes", "--beam_runner=DirectRunner"], "--beam_runner needs --source"),
        (["--dataset=coco2014", "--source=x", "--max_skipped=1.5"], "max_skipped"),
        (["--dataset=coco2014", "--source=http://x/y"], "--source=http://x/y: give a path on this machine, or in a"),
        (["--dataset=coco2014", "x"], "unexpected argument 'x'"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(command, arguments, message):
    process = command("data_pipelines.convert", *arguments)
    output, error = process.communicate()
    assert (process.returncode, output) == (2, "")
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_help_teaches(command):
    output, error = command("data_pipelines.convert", "--help").communicate()
    assert error == ""
    for text in (
        "python -m data_pipelines.convert --dataset=coco2014 --source=coco --data_dir=data",
        "annotations/{captions,instances}_{train,val}2014.json",
        "coco_{train,val}_localized_narratives*.jsonl",
        "train_0.tar.gz .. train_f.tar.gz",
        "skipped.jsonl",
        "--max_skipped",
        "--beam_runner",
        "--beam_options",
        "--[no]download",
        "--[no]captions_only",
    ):
        assert text in output, text


def test_command_line(source, command, tmp_path):
    def run(*arguments) -> tuple[int, str, str]:
        flags = ("--dataset=coco2014", f"--data_dir={tmp_path / 'data'}")
        process = command("data_pipelines.convert", *flags, *arguments)
        output, error = process.communicate()
        return process.returncode, output, error

    lost = min((source / "train2014").iterdir())
    lost.unlink()
    status, output, error = run(f"--source={source}")
    assert (status, output) == (1, "")
    assert error.splitlines()[-1].startswith("error: split 'train': 1 of 45 images cannot be used so far")
    assert "Traceback" not in error
    folder = records.directory("coco2014", tmp_path / "data")
    last = [
        f"records in {folder}",
        f"images and captions left out or mended are listed in {folder / records.SKIPPED_FILE}",
    ]
    status, output, error = run(f"--source={source}", "--max_skipped=0.05")
    assert status == 0
    assert output.splitlines() == ["converted: 44 train, 12 validation images", *last]
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in error.splitlines()] == [
        f"warning: train, {lost.name}: left out: missing image",
        "warning: train: left out: 1 x missing image (image)",
        "writing 44 records of train",
        "writing 12 records of validation",
    ]
    status, output, error = run("--source=anything")
    assert (status, error) == (0, "")
    assert output.splitlines() == ["nothing to do, already converted: 44 train, 12 validation images", *last]
