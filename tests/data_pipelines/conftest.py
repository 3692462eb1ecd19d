"""Small drawn sources in each published layout, and their records, made once for all tests of the data."""

from __future__ import annotations

import pathlib
import shutil

import pytest

from data_pipelines import prepare
from data_pipelines.scenes import layouts

NUM_TRAIN, NUM_VAL = 45, 12


@pytest.fixture(scope="session")
def drawn_source(tmp_path_factory) -> pathlib.Path:
    source = tmp_path_factory.mktemp("drawn") / "source"
    layouts.write_coco2014(source, num_train=NUM_TRAIN, num_val=NUM_VAL, seed=7, image_size=64)
    return source


@pytest.fixture(scope="session")
def data_dir(drawn_source, tmp_path_factory) -> pathlib.Path:
    data_dir = tmp_path_factory.mktemp("records")
    assert prepare.convert("coco2014", drawn_source, data_dir)
    return data_dir


@pytest.fixture
def source(drawn_source, tmp_path) -> pathlib.Path:
    """A copy of the drawn source to do harm to."""
    return shutil.copytree(drawn_source, tmp_path / "source")


@pytest.fixture(scope="session")
def drawn_ln_coco(tmp_path_factory) -> pathlib.Path:
    """Narratives in shards, with times and traces, and the instances of the images."""
    source = tmp_path_factory.mktemp("drawn_ln_coco") / "source"
    layouts.write_ln_coco(source, num_train=NUM_TRAIN, num_val=NUM_VAL, seed=8, image_size=64)
    return source


@pytest.fixture(scope="session")
def ln_coco_data_dir(drawn_ln_coco, tmp_path_factory) -> pathlib.Path:
    data_dir = tmp_path_factory.mktemp("ln_coco_records")
    assert prepare.convert("ln_coco", drawn_ln_coco, data_dir)
    return data_dir


@pytest.fixture
def ln_coco(drawn_ln_coco, tmp_path) -> pathlib.Path:
    """A copy of the drawn source to do harm to."""
    return shutil.copytree(drawn_ln_coco, tmp_path / "source")


@pytest.fixture(scope="session")
def drawn_ln_openimages(tmp_path_factory) -> pathlib.Path:
    """Images in folders by the first digit of their id."""
    source = tmp_path_factory.mktemp("drawn_ln_openimages") / "source"
    layouts.write_ln_openimages(source, num_train=NUM_TRAIN, num_val=NUM_VAL, seed=9, image_size=64)
    return source


@pytest.fixture
def ln_openimages(drawn_ln_openimages, tmp_path) -> pathlib.Path:
    """A copy of the drawn source to rearrange and to do harm to."""
    return shutil.copytree(drawn_ln_openimages, tmp_path / "source")
