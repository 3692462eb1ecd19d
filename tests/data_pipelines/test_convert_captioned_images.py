"""A user's own images: from any layout to the same records, which all commands then find by the user's name."""

from __future__ import annotations

import json

import pytest

from data_pipelines import advice, datasets, input_pipeline, own_datasets, prepare, records
from data_pipelines.inspection.histograms import Histogram
from tests.support import own_images
from tests.support.converted import left_out, notes, stored

NAMES = [f"00{i % 3}.Kind/Bird {i} é.{'JPG' if i % 4 else 'png'}" for i in range(24)]
IMAGES = own_images.draw(NAMES)


def _convert(source, data_dir, name="birds", **options):
    return prepare.convert_own(name, source, data_dir, validation_share=0.3, **options)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Three layouts, converted under the names `txt`, `tokens` and `tars`."""
    data_dir = tmp_path_factory.mktemp("records")
    for name, write in (
        ("txt", own_images.text_beside),
        ("tokens", own_images.flickr8k_tokens),
        ("tars", own_images.webdataset),
    ):
        source = tmp_path_factory.mktemp(name)
        write(source, IMAGES)
        assert _convert(source, data_dir, name)
    return data_dir


def test_all_layouts_become_the_same_records_with_the_bytes_of_the_files(data_dir):
    found = {}
    for split in ("train", "validation"):
        by_layout = [stored(name, data_dir, split) for name in ("txt", "tokens", "tars")]
        assert by_layout[0] == by_layout[1] == by_layout[2]
        found.update(by_layout[0])
    assert set(found) == set(NAMES)
    for name, record in found.items():
        assert (record.image, record.captions) == (IMAGES[name].content, IMAGES[name].captions)
        assert record.file_name == name
    assert notes("txt", data_dir) == []


def test_a_finished_conversion_is_not_repeated(data_dir):
    assert not _convert("anything", data_dir, "txt")


def test_the_dataset_is_known_by_its_name(data_dir, tmp_path):
    assert datasets.names(data_dir) == (*datasets.NAMES, "tars", "tokens", "txt")
    known = datasets.get("txt", data_dir)
    assert known.example in [caption for image in IMAGES.values() for caption in image.captions]
    config = datasets.preset("txt", data_dir=data_dir)
    assert config == known.config()
    assert (config.dataset, config.data.image_size, config.training.batch_size) == ("txt", 64, 16)
    on_reference = datasets.preset("reference", "txt", data_dir)
    assert (on_reference.generator.stem, on_reference.data.text_length) == ("noise", config.data.text_length)
    for folder in (tmp_path, None):
        with pytest.raises(ValueError, match="unknown dataset 'txt': choose one of coco2014"):
            datasets.get("txt", folder)


def test_batches_of_jpeg_and_png_files(data_dir):
    (batch,) = input_pipeline.evaluation_batches(
        "txt", "train", data_dir, batch_size=32, image_size=32, num_captions=17
    ).take(1)
    assert batch.image.shape == (17, 32, 32, 3)


def test_damaged_facts_are_named(data_dir, tmp_path):
    folder = records.directory("mine", tmp_path)
    folder.mkdir(parents=True)
    (folder / own_datasets.FACTS_FILE).write_text('{"source": "x"}')
    with pytest.raises(ValueError, match=r"captioned_images.json: .*missing required field .*convert 'mine' again"):
        datasets.get("mine", tmp_path)


@pytest.mark.parametrize("name", ["", "my birds", "../birds", "b/c", "3birds", "a" * 65, "birds-2"])
def test_names_of_folders_that_are_not_safe_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="use letters, digits and '_'"):
        _convert(tmp_path, tmp_path, name)


@pytest.mark.parametrize("name", ["coco2014", "Scenes", "reference", "captioned_images", "pretrained"])
def test_names_of_this_project_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="is taken by a dataset or preset of this project"):
        _convert(tmp_path, tmp_path, name)


def test_what_cannot_be_used_is_counted_and_named(tmp_path):
    source, data_dir = tmp_path / "source", tmp_path / "data"
    own_images.kaggle_csv(source, IMAGES)
    for number, change in enumerate((b"", b"no image", IMAGES[NAMES[2]].content[:-400])):
        (source / "Images" / NAMES[number]).write_bytes(change)
    (source / "Images" / NAMES[3]).unlink()
    (source / "Images" / "unnamed.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"cannot be used so far, and at most 1\.00% may be left out"):
        _convert(source, data_dir)
    assert not (data_dir / "birds").exists()
    assert _convert(source, data_dir, max_skipped=0.6)
    reasons = {name: reason for what, name, reason in left_out("birds", data_dir)}
    assert reasons.keys() == {*NAMES[:4], "unnamed.jpg"}
    assert reasons[NAMES[3]] == "missing image" and reasons["unnamed.jpg"] == "image without caption"
    assert sum(len(stored("birds", data_dir, split)) for split in ("train", "validation")) == 20


def test_the_central_square_or_the_whole_image(tmp_path):
    own_images.write_wide(tmp_path, 2)
    _convert(tmp_path, tmp_path / "data")

    def image(geometry):
        options = {"batch_size": 1, "image_size": 64, "num_captions": 1, "geometry": geometry}
        return next(iter(input_pipeline.evaluation_batches("birds", "train", tmp_path / "data", **options))).image[0]

    assert image("crop").numpy().min() >= 200
    assert image("squash").numpy()[:, :15].max() <= 1
    with pytest.raises(ValueError, match="geometry='round' is unknown: choose squash or crop"):
        image("round")


@pytest.mark.parametrize(
    ("sides", "size"), [([50, 60], 64), ([64], 64), ([127, 128, 129], 128), ([100, 300, 400], 256), ([4000], 256)]
)
def test_advised_image_size(sides, size):
    assert advice._image_size(Histogram(sides)).value == size


def test_advised_text_length_cuts_less_than_two_percent():
    lengths = Histogram({10: 900, 20: 85, 30: 15})
    assert advice._text_length(lengths, "words")[1:] == (20, "cuts 1.5% of the captions, by words")


@pytest.mark.parametrize(
    ("caption", "is_sided"),
    [
        ("a dog on the left", True),
        ("the man at his far right", True),
        ("a left-hand turn", True),
        ("the leftmost bird", True),
        ("a bird has left its nest", False),
        ("bright feathers, right after the rain", False),
    ],
)
def test_captions_that_speak_of_left_and_right(caption, is_sided):
    assert bool(advice._SIDED.search(caption)) == is_sided


@pytest.mark.parametrize(("num_images", "batch"), [(3, 16), (300, 32), (6091, 256), (100_000, 256)])
def test_advised_training(num_images, batch):
    size, steps = advice._training(num_images)
    assert size.value == batch
    assert steps.value >= 20_000 and steps.value % 50 == 0


def test_command_line(command, tmp_path):
    source = tmp_path / "source"
    own_images.text_beside(source, IMAGES)
    flags = ("--dataset=captioned_images", f"--data_dir={tmp_path / 'data'}", f"--source={source}", "--name=birds")
    for expected in ("converted: ", "nothing to do, already converted: "):
        process = command("data_pipelines.convert", *flags)
        output, error = process.communicate()
        assert process.returncode == 0, error
        assert output.startswith(expected)
        layout = (
            "layout 'txt' (24 of 24 images with a text file beside them); about 10% of the images are for validation"
        )
        assert (layout in error) == (expected == "converted: ")
        assert f"  python -m xmcgan.train --dataset=birds --data_dir={tmp_path / 'data'}" in output.splitlines()
        assert "--config.data.random_flip=true " in output and "--config.data.text_length=" in output
    facts = json.loads((records.directory("birds", tmp_path / "data") / own_datasets.FACTS_FILE).read_text())
    assert (facts["layout"], facts["source"]) == ("txt", str(source))
