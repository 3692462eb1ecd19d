"""From the files of LN-OpenImages, in every arrangement, to records and a batch: held against json and tarfile."""

from __future__ import annotations

import json
import pathlib
import shutil
import tarfile

import pytest

from data_pipelines import image_files, input_pipeline, prepare, records
from data_pipelines.scenes import layouts
from tests.support.converted import assert_spoken, left_out, notes, published, stored

NARRATIVES = {"train": "open_images_train_v6", "validation": "open_images_validation", "test": "open_images_test"}


def _pack(folder: pathlib.Path, ending: str = ".tar.gz") -> pathlib.Path:
    """Replaces a folder of images by an archive."""
    archive = folder.with_name(folder.name + ending)
    with tarfile.open(archive, "w:gz" if ending.endswith("gz") else "w") as tar:
        tar.add(folder, arcname=folder.name)
    shutil.rmtree(folder)
    return archive


def _into_one_folder(source: pathlib.Path) -> pathlib.Path:
    (source / "train").mkdir()
    for folder in source.glob("train_*"):
        for path in folder.iterdir():
            path.rename(source / "train" / path.name)
        folder.rmdir()
    return source / "train"


def _mix(source: pathlib.Path) -> None:
    """Some packed, one way or another, some half unpacked, some in one folder."""
    _pack(source / "train_0")
    _pack(source / "train_1", ".tar")
    (source / "train").mkdir()
    for path in (source / "train_2").iterdir():
        path.rename(source / "train" / path.name)
    shutil.rmtree(source / "train_2")
    filled = next(folder for folder in sorted(source.glob("train_[3-9]")) if len(list(folder.iterdir())) > 1)
    half = filled.with_name("half")
    shutil.copytree(filled, half)
    _pack(filled)
    filled.mkdir()
    next(iter(half.iterdir())).rename(filled / next(iter(half.iterdir())).name)
    shutil.rmtree(half)
    _pack(source / "validation", ".tar")


ARRANGEMENTS = {
    "folders by digit": lambda source: None,
    "one folder": _into_one_folder,
    "archives": lambda source: [_pack(folder) for folder in [*source.glob("train_?"), source / "validation"]],
    "plain archives": lambda source: [_pack(path, ".tar") for path in [*source.glob("train_?"), source / "validation"]],
    "one archive": lambda source: _pack(_into_one_folder(source)),
    "mixed": _mix,
}


def _convert(source: pathlib.Path, max_skipped: float = 0.0) -> pathlib.Path:
    """Converts into a folder beside the source."""
    data_dir = source.parent / "data"
    assert prepare.convert("ln_openimages", source, data_dir, max_skipped=max_skipped)
    return data_dir


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_records_hold_the_source(drawn_ln_openimages, ln_openimages, arrangement):
    ARRANGEMENTS[arrangement](ln_openimages)
    data_dir = _convert(ln_openimages)
    for split in ("train", "validation"):
        narratives = published(drawn_ln_openimages.glob(f"{NARRATIVES[split]}_*.jsonl"))
        jpegs = {path.name: path.read_bytes() for path in drawn_ln_openimages.glob(f"{split}*/*.jpg")}
        found = stored("ln_openimages", data_dir, split)
        assert set(found) == set(narratives)
        assert {record.file_name: record.image for record in found.values()} == jpegs
        for image_id, record in found.items():
            assert record.file_name == f"{image_id}.jpg"
            assert record.captions == [said["caption"] for said in narratives[image_id]]
            assert record.labels == []
            for narrative, said in zip(record.narratives, narratives[image_id]):
                assert_spoken(narrative, said)
    assert left_out("ln_openimages", data_dir) == []


def test_archives_as_drawn(tmp_path):
    source = tmp_path / "source"
    layouts.write_ln_openimages(
        source, num_train=45, num_val=12, seed=9, image_size=64, archives=True, captions_only=True
    )
    data_dir = _convert(source)
    for split in ("train", "validation"):
        jpegs = {}
        for archive in source.glob(f"{split}*.tar.gz"):
            with tarfile.open(archive) as tar:
                members = [member for member in tar if member.isfile()]
                jpegs.update({pathlib.Path(member.name).stem: tar.extractfile(member).read() for member in members})
        narratives = published(source.glob(f"{NARRATIVES[split]}_captions.jsonl"))
        found = stored("ln_openimages", data_dir, split)
        assert {image_id: record.image for image_id, record in found.items()} == jpegs
        captions = {image_id: [said["caption"] for said in of_image] for image_id, of_image in narratives.items()}
        assert {image_id: record.captions for image_id, record in found.items()} == captions
        assert not any(record.narratives for record in found.values())
    assert notes("ln_openimages", data_dir) == []
    batch = next(iter(input_pipeline.training_batches("ln_openimages", data_dir, batch_size=8, image_size=32)))
    train = published(source.glob("open_images_train_v6_captions.jsonl"))
    for caption, image_id in zip(batch.caption.numpy(), batch.image_id.numpy()):
        assert caption.decode() in [said["caption"] for said in train[image_id.decode()]]


def test_the_test_split_is_taken_if_it_is_there(ln_openimages):
    shutil.copytree(ln_openimages / "validation", ln_openimages / "test")
    for path in ln_openimages.glob("open_images_validation_*.jsonl"):
        shutil.copy(path, ln_openimages / path.name.replace("validation", "test"))
    with pytest.raises(FileNotFoundError, match=r"lacks the images of test \(test/ or test\*.tar.gz\)"):
        shutil.move(ln_openimages / "test", ln_openimages / "aside")
        _convert(ln_openimages)
    shutil.move(ln_openimages / "aside", ln_openimages / "test")
    data_dir = _convert(ln_openimages)
    assert list(records.open_dataset("ln_openimages", data_dir).info.splits) == ["train", "validation", "test"]
    found, expected = (stored("ln_openimages", data_dir, split) for split in ("test", "validation"))
    assert {record.image for record in found.values()} == {record.image for record in expected.values()}


@pytest.mark.parametrize("ending", [".tar.gz", ".tar"])
def test_a_broken_archive_is_told_by_each_image_that_it_should_hold(ln_openimages, ending):
    names = sorted(path.name for path in (ln_openimages / "validation").iterdir())
    jpegs = {path.name: path.read_bytes() for path in (ln_openimages / "validation").iterdir()}
    archive = _pack(ln_openimages / "validation", ending)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    data_dir = _convert(ln_openimages, max_skipped=0.9)
    found = {record.file_name: record.image for record in stored("ln_openimages", data_dir, "validation").values()}
    assert 0 < len(found) < len(names)
    assert found == {name: jpegs[name] for name in found}
    lost = sorted(set(names) - set(found))
    assert left_out("ln_openimages", data_dir) == [("image", name, f"damaged archive {archive.name}") for name in lost]


def test_unfit_images_in_archives(ln_openimages, monkeypatch):
    folder = ln_openimages / "validation"
    paths = sorted(folder.iterdir())
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-200])
    paths[2].write_bytes(b"\x89PNG")
    paths[3].write_bytes(paths[3].read_bytes() + bytes(60_000))
    (folder / "unknown.jpg").write_bytes(b"nobody tells of it")
    _pack(folder)
    monkeypatch.setattr(image_files, "MAX_BYTES", 50_000)
    data_dir = _convert(ln_openimages, max_skipped=0.5)
    reasons = ["missing image", "truncated JPEG", "unknown or damaged format", "image too large"]
    assert left_out("ln_openimages", data_dir) == [("image", path.name, reason) for path, reason in zip(paths, reasons)]
    found = stored("ln_openimages", data_dir, "validation")
    assert {record.file_name for record in found.values()} == {path.name for path in paths[4:]}


def test_an_archive_that_is_none_fails_at_once(ln_openimages):
    shutil.rmtree(ln_openimages / "validation")
    (ln_openimages / "validation.tar.gz").write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError, match=r"1 of 12 images .*1 x damaged archive \S+ \(image\)"):
        _convert(ln_openimages)
    assert list((ln_openimages.parent / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda source: [path.unlink() for path in source.glob("open_images_train_v6_*")],
            r"lacks open_images_train_v6_localized_narratives\*.jsonl \(or open_images_train_v6_captions.jsonl\)",
        ),
        (
            lambda source: next(source.glob("*-00003-of-00010.jsonl")).unlink(),
            "lacks open_images_train_v6_localized_narratives-00003-of-00010.jsonl: download",
        ),
        (lambda source: [shutil.rmtree(path) for path in source.glob("train_?")], r"lacks the images of train \(tr"),
        (lambda source: shutil.rmtree(source / "validation"), r"lacks the images of validation \(validation/ or val"),
    ],
)
def test_a_bad_source_is_refused_in_one_line(ln_openimages, harm, message):
    harm(ln_openimages)
    with pytest.raises(FileNotFoundError, match=message) as error:
        _convert(ln_openimages)
    assert "\n" not in str(error.value)


def test_an_unknown_image_is_missing(ln_openimages):
    path = ln_openimages / "open_images_validation_localized_narratives.jsonl"
    said = json.loads(path.read_text().splitlines()[0])
    with path.open("a") as file:
        for image_id in ("0123456789abcdef", "zebra"):
            file.write(json.dumps({**said, "image_id": image_id}) + "\n")
    data_dir = _convert(ln_openimages, max_skipped=0.2)
    assert left_out("ln_openimages", data_dir) == [
        ("image", "0123456789abcdef.jpg", "missing image"),
        ("image", "zebra.jpg", "missing image"),
    ]
