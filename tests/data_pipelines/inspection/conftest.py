"""Records worth an inspection: images of many sizes, captions full of marks, and some that were unfit."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
from PIL import Image

from data_pipelines import prepare
from data_pipelines.inspection.tokens import TokenCounter
from tests.support import letters

HOSTILE = '<script>alert("1")</script> & </li></article> <b class="x">\'bold\''


@pytest.fixture(scope="session")
def varied_source(drawn_source, tmp_path_factory) -> pathlib.Path:
    """Drawn scenes, some resized, one truncated; an image with seven captions, among them a hostile one."""
    source = shutil.copytree(drawn_source, tmp_path_factory.mktemp("varied") / "source")
    images = sorted((source / "train2014").iterdir())
    for place, path in enumerate(images[:20]):
        with Image.open(path) as image:
            image.resize((40 + 7 * place, 90 - 3 * place)).save(path)
    images[20].write_bytes(images[20].read_bytes()[:-200])
    file = source / "annotations/captions_train2014.json"
    content = json.loads(file.read_text())
    first = content["annotations"][0]
    content["annotations"] += [
        {**first, "id": 10**6, "caption": HOSTILE},
        {**first, "id": 10**6 + 1, "caption": " a  b"},
    ]
    file.write_text(json.dumps(content))
    return source


@pytest.fixture(scope="session")
def varied_data_dir(varied_source, tmp_path_factory) -> pathlib.Path:
    data_dir = tmp_path_factory.mktemp("varied_records")
    assert prepare.convert("coco2014", varied_source, data_dir, max_skipped=0.1)
    return data_dir


@pytest.fixture(scope="session")
def token_counter(tmp_path_factory) -> TokenCounter:
    folder = tmp_path_factory.mktemp("letters") / "preprocessor"
    letters.save_preprocessor(folder)
    return TokenCounter(str(folder))
