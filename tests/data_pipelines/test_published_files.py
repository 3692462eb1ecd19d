from __future__ import annotations

import pathlib

import pytest
import tensorflow_datasets as tfds

from data_pipelines import datasets, published_files

_DATASETS = ("coco2014", "ln_coco", "ln_openimages")


def test_cocos_sizes_and_checksums_are_those_that_tfds_recorded():
    table = pathlib.Path(tfds.__file__).parent / "url_checksums" / "coco.txt"
    recorded = {}
    for line in table.read_text().splitlines():
        url, size, sha256, _ = line.split("\t")
        recorded[url] = (int(size), sha256)
    for file in published_files.COCO2014 + published_files.COCO2017:
        assert (file.size, file.sha256) == recorded[file.url]


@pytest.mark.parametrize("dataset", _DATASETS)
@pytest.mark.parametrize("captions_only", [False, True])
def test_every_file_is_described(dataset, captions_only):
    published = datasets.get(dataset).published
    files = (captions_only and published.light_files) or published.files
    assert len({file.name for file in files}) == len(files)
    for file in files:
        assert file.url.endswith(f"/{file.name}")
        assert file.page.startswith("https://")
        assert file.url.startswith("https://") or file.sha256  # What no one vouches for comes by a safe way.
        assert bool(file.unpacks_to) == file.name.endswith(".zip")


def test_narratives_are_those_of_the_owners_loader():
    # The names in google/localized-narratives, localized_narratives.py.
    assert [file.name for file in published_files.LN_COCO_NARRATIVES] == [
        *(f"coco_train_localized_narratives-0000{shard}-of-00004.jsonl" for shard in range(4)),
        "coco_val_localized_narratives.jsonl",
    ]
    assert [file.name for file in published_files.LN_OPENIMAGES_NARRATIVES] == [
        *(f"open_images_train_v6_localized_narratives-0000{shard}-of-00010.jsonl" for shard in range(10)),
        "open_images_validation_localized_narratives.jsonl",
    ]
