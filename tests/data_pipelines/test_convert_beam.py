"""The same records and notes come out of an Apache Beam pipeline."""

from __future__ import annotations

import functools
import json
import pathlib
import shutil

import pytest
import tensorflow_datasets as tfds

from data_pipelines import input_pipeline, prepare, records
from data_pipelines.scenes import layouts
from tests.support import libraries
from tests.support.converted import published, stored

libraries.need("apache_beam", "no Apache Beam: pip install -e '.[beam]'")
RUNNER = {"beam_runner": "DirectRunner", "beam_options": ["--direct_running_mode=in_memory"]}


def _assert_same(dataset: str, first: pathlib.Path, second: pathlib.Path) -> None:
    folders = [pathlib.Path(records.directory(dataset, data_dir)) for data_dir in (first, second)]
    notes = [(folder / records.SKIPPED_FILE).read_text() for folder in folders]
    assert notes[0] == notes[1]
    assert notes[0].count('"action": "left out"') == 3
    for split in ("train", "validation"):
        found, expected = (stored(dataset, data_dir, split) for data_dir in (first, second))
        assert found.keys() == expected.keys()
        assert all(str(found[key]) == str(expected[key]) for key in found)  # Arrays in them have no `==`.
    assert {path.name.partition("tfrecord")[0] for path in folders[0].iterdir()} == {
        path.name.partition("tfrecord")[0] for path in folders[1].iterdir()
    }


def _spoil(source: pathlib.Path, images: str, narratives: str) -> None:
    for path in sorted(source.glob(images))[:2]:
        path.write_bytes(path.read_bytes()[:-300])
    (path,) = source.glob(narratives)
    with path.open("a") as file:
        file.write('{"image_id": "cut off')


def test_the_same_as_without(ln_coco, tmp_path, caplog, monkeypatch):
    _spoil(ln_coco, "val2017/*", "coco_val_localized*")
    with caplog.at_level("WARNING"), monkeypatch.context() as patch:
        several_files = functools.partial(tfds.download.DownloadConfig, num_shards=3)
        patch.setattr(tfds.download, "DownloadConfig", several_files)
        assert prepare.convert("ln_coco", ln_coco, tmp_path / "be[a]m", 0.2, **RUNNER)
    assert len(records.open_dataset("ln_coco", tmp_path / "be[a]m").info.splits["train"].filepaths) > 1
    assert "validation: left out: 2 x truncated JPEG (image), 1 x JSON line cut off" in caplog.text
    assert prepare.convert("ln_coco", ln_coco, tmp_path / "threads", 0.2)
    _assert_same("ln_coco", tmp_path / "be[a]m", tmp_path / "threads")
    batch = next(iter(input_pipeline.training_batches("ln_coco", tmp_path / "be[a]m", batch_size=4, image_size=16)))
    narratives = published(ln_coco.glob("coco_train_*.jsonl"))
    for caption, image_id in zip(batch.caption.numpy(), batch.image_id.numpy()):
        assert caption.decode() in [said["caption"] for said in narratives[image_id.decode()]]


def test_a_runner_or_an_option_that_beam_does_not_know():
    with pytest.raises(
        ValueError, match=r"^--beam_runner=NoRunner cannot be used: Unexpected pipeline runner"
    ) as error:
        prepare.pipeline_options("NoRunner", [])
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"^--beam_options=--direct_num_workers=x: argument --direct_num_workers: inv"):
        prepare.pipeline_options("DirectRunner", ["--direct_num_workers=x"])


@pytest.mark.slow  # Each of Beam's processes imports TensorFlow.
def test_several_processes_and_archives(tmp_path):
    source = tmp_path / "source"
    layouts.write_ln_openimages(source, num_train=20, num_val=6, image_size=64, archives=True, captions_only=True)
    path = source / "open_images_validation_captions.jsonl"
    said = json.loads(path.read_text().splitlines()[0])
    with path.open("a") as file:
        file.writelines(json.dumps({**said, "image_id": image_id}) + "\n" for image_id in ("0a", "1b", "2c"))
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    assert prepare.convert("ln_openimages", source, tmp_path / "be[a]m", 0.4, "DirectRunner", options)
    assert prepare.convert("ln_openimages", source, tmp_path / "threads", 0.4)
    _assert_same("ln_openimages", tmp_path / "be[a]m", tmp_path / "threads")


@pytest.mark.parametrize(
    ("max_skipped", "message"),
    [
        (0.5, r"split 'validation': 7 of 12 images cannot be used so far, .*first: 0000000000\d\d.jpg"),
        pytest.param(
            1.0,
            r"split 'validation' has no image that can be used \(12 x missing image \(image\)\): fix the sou",
            marks=pytest.mark.slow,  # Without Beam: test_convert.
        ),
    ],
)
def test_a_failed_pipeline_says_why_in_one_line_and_leaves_nothing(ln_coco, tmp_path, max_skipped, message):
    shutil.rmtree(ln_coco / "val2017")
    (ln_coco / "val2017").mkdir()
    with pytest.raises(ValueError, match=message) as error:
        prepare.convert("ln_coco", ln_coco, tmp_path / "data", max_skipped, **RUNNER)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "data").iterdir()) == []
