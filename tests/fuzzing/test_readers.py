"""Readers of strangers' files, on mutations of valid ones: a result, or one line with the file's name; never more.

The quick tests repeat the same examples in every run. `pytest -m slow tests/fuzzing` tries many new ones.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import pickle
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pytest
import safetensors.numpy
from etils import epath
from hypothesis import strategies as st

from data_pipelines import own_datasets, record_folders
from data_pipelines.builders import captions, coco_annotations, narratives, skipped, tar_files
from data_pipelines.fetching import archives, one_file
from data_pipelines.layouts import recognize, split_lists
from data_pipelines.layouts.listing import Options
from data_pipelines.layouts.tree import Tree
from eval import image_folder, results
from eval.networks import label_maps
from eval.objects import soa_captions
from eval.ranking import answers, design
from eval.retrieval import dual_encoder
from eval.retrieval.conceptual_captions import read_pairs
from tests.support.command_modules import load
from tests.support.mutations import mutated, swapped
from xmcgan import config_json, text_files
from xmcgan.config import Config
from xmcgan.hugging_face import tokenizer_files, weights
from xmcgan.training import checkpoints, cluster

sample = load("xmcgan.sample")

_SECONDS = 2.0  # Of this process, for one small file.

COCO = {
    "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 8, "file_name": "8.jpg"}],
    "annotations": [{"image_id": 7, "id": 1, "caption": "a ball"}, {"image_id": 8, "id": 2, "caption": "a star"}],
}
INSTANCES = {
    "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "star"}],
    "annotations": [{"image_id": 7, "category_id": 1}, {"image_id": 8, "category_id": 2}],
}
NARRATIVE = {
    "image_id": "7",
    "caption": "a ball",
    "timed_caption": [{"utterance": "a ball", "start_time": 0.0, "end_time": 1.5}],
    "traces": [[{"x": 0.5, "y": 0.25, "t": 0.1}, {"x": 0.5, "y": 1.25, "t": 0.2}]],
}
PAGES = [design.Comparison(f"t{row}", "realism", row, ("a", "b")) for row in range(2)]
KEY = design.Key({"models": {"a": {}, "b": {}}}, ["one", "two"], "s", PAGES)
KEY_FILE = {**dataclasses.asdict(KEY), "comparisons": [page._asdict() for page in PAGES]}
RESULT = {"from_name": "ranking", "value": {"ranker": {"best_to_worst": ["A", "B"]}}}
EXPORT = [
    {"data": {"comparison": f"t{row}"}, "annotations": [{"id": row, "completed_by": {"id": 5}, "result": [RESULT]}]}
    for row in range(2)
]
MINIMAL = [{"comparison": "t0", "annotation_id": 1, "annotator": "x@y.z", "ranking": [RESULT["value"]]}]
CLUSTER = {"cluster": {"worker": ["one:5000", "two:5000"]}, "task": {"type": "worker", "index": 1}}
SOA = [{"image_id": 7, "id": 1, "idx": [1], "caption": "a dog"}, {"image_id": 8, "id": 2, "idx": [], "caption": "dogs"}]
FACTS = {
    "source": "/birds",
    "layout": "txt",
    "example": "a bird",
    "advice": [{"field": "data.text_length", "value": 20, "reason": "why"}],
}
TOKENIZER = {
    "model": {"type": "WordPiece", "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "##b": 5}},
    "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
}
SCORES = {"FID/tfgan": {"value": 9.5, "deviation": None, "better": "lower", "unit": ""}}
RESULT_OF_METRICS = {"scores": SCORES, "real": {}, "pictures": {}, "protocol": {}, "fingerprint": "", "details": {}}
DUAL_ENCODER = {"name": "CC", "held_out": {"r_precision": 0.5, "pairs": 20, "mismatches": 10}}
SKIPPED = {"split": "train", "action": "left out", "what": "image", "name": "a.jpg", "reason": "empty", "detail": ""}
WORDS, HALVES = "embeddings.word_embeddings.weight", "pooler.dense.weight"


class Reader(NamedTuple):
    """A reader of files, and a valid one."""

    name: str  # Of the file; errors must begin with it, or with its path, or contain it.
    valid: bytes | list | dict  # Bytes, or the content of a JSON file.
    read: Callable[[pathlib.Path], Any]


def _narratives(path: pathlib.Path) -> None:
    found, issues, count = narratives.by_image([epath.Path(path)])
    lines = [line for of_image in found.values() for line in of_image]
    assert count == len(issues) + len(lines)
    for line in lines:
        caption, narrative, noted = narratives.read(line)
        caption.encode()
        assert caption or noted
        assert narrative.points.shape[1] == 3


def _captions(path: pathlib.Path) -> None:
    for caption in sample.read_captions([], str(path)):
        caption.encode()


def _caption_lists(path: pathlib.Path) -> None:
    for found in soa_captions.load_caption_lists(path.parent):
        for caption in found.captions:
            caption.encode()


def _unpack(path: pathlib.Path) -> None:
    folder = path.parent / "unpacked"
    folder.mkdir()
    archives.unpack(path, folder, path.parent / "temporary")
    assert {each.name for each in path.parent.iterdir()} <= {path.name, "unpacked"}


def _cluster(path: pathlib.Path) -> None:
    text = path.read_bytes().replace(b"\0", b"")  # The environment has no NUL characters.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "TF_CONFIG", text.decode("utf-8", "surrogateescape"))
        cluster.resolve("auto")
        cluster.read_cluster()


def _part_note(path: pathlib.Path) -> None:
    path.rename(path.with_name("x.part.json"))
    one_file._PartialFile(path.with_name("x")).metadata()


def _tar(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name in ("1.jpg", "a" * 150 + ".jpg"):
            member = tarfile.TarInfo(name)
            member.size = 700
            tar.addfile(member, io.BytesIO(b"j" * 700))
    return buffer.getvalue()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("train/1.jpg", b"one" * 50)
        file.writestr("notes/a.json", b"{}")
    return buffer.getvalue()


def _read_tar(path: pathlib.Path) -> None:
    for name, data in tar_files.read(path, {"1.jpg"}, 10_000):
        assert name == "1.jpg" and (data is None or len(data) <= 10_000)


def _layout(name: str) -> Callable[[pathlib.Path], None]:
    """Returns a reader of a folder of a user's own images, two of them beside the file, in one layout."""

    def read(path: pathlib.Path) -> None:
        for image in ("1.jpg", "2.png"):
            (path.parent / image).write_bytes(b"image")
        tree = Tree(epath.Path(path.parent))
        listing = recognize.find_layout(tree, Options(), name).read(tree, Options())
        for image in listing.images:
            for caption in image.captions:
                captions.clean(caption, image.name)[0].encode()
        split_lists.read(tree, listing.images)

    return read


def _move(path: pathlib.Path, folder: str | os.PathLike) -> None:
    os.makedirs(folder)
    path.rename(os.path.join(folder, path.name))


def _facts(path: pathlib.Path) -> None:
    _move(path, record_folders.directory("birds", path.parent))
    Config().with_fields(own_datasets.read_facts("birds", path.parent).fields)


def _best(path: pathlib.Path) -> None:
    _move(path, path.parent / "checkpoints" / "best")
    checkpoints.read_best(str(path.parent))


def _images_of_a_table(path: pathlib.Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        (path.parent / name).write_bytes(b"image")
    images = image_folder.read(str(path.parent))
    assert all(os.path.dirname(os.path.normpath(file)).startswith(str(path.parent)) for file in images.files)


def _weights(path: pathlib.Path) -> None:
    stored = weights.Weights(path.parent)
    stored.read(WORDS, (3, 2))
    if stored.has("pooler.dense"):
        stored.read(HALVES, (2, 2))


def _metadata(ending: str) -> bytes:
    lines = {"csv": "file_name,text\n1.jpg,a bird\n2.png,two birds\n"}
    rows = [{"file_name": "1.jpg", "text": ["a bird", "ein Vögelchen"]}, {"file_name": "2.png", "text": ["two"]}]
    lines["jsonl"] = "\n".join(map(json.dumps, rows))
    return lines[ending].encode()


def _parquet() -> bytes:
    from pyarrow import parquet, table

    buffer = io.BytesIO()
    parquet.write_table(table({"file_name": ["1.jpg", "2.png"], "text": [["a bird", "one"], ["two"]]}), buffer)
    return buffer.getvalue()


def _samples() -> bytes:
    buffer = io.BytesIO()
    members = {"1.jpg": b"image", "1.txt": b"a bird\n", "2.png": b"other", "2.json": b'{"caption": ["two", "birds"]}'}
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _safetensors() -> bytes:
    tensors = {WORDS: np.ones((3, 2), np.float32), HALVES: np.ones((2, 2), np.float16)}
    return safetensors.numpy.save(tensors)


READERS = {
    "captions": Reader("c.json", COCO, lambda path: coco_annotations.read_captions(epath.Path(path))),
    "instances": Reader("i.json", INSTANCES, lambda path: coco_annotations.read_labels(epath.Path(path))),
    "narratives": Reader("n.jsonl", NARRATIVE, _narratives),
    "list of captions": Reader("c.txt", b"a ball\r\na st\xc3\xa4r\n\n", _captions),
    "label map": Reader("l.txt", b"person\n\nbicycle\n", lambda path: label_maps.load_label_map(str(path))),
    "table": Reader("t.tsv", b"1.jpg\ta ball\n2.jpg\ta star\t7\n", lambda path: list(text_files.read_lines(path))),
    "export": Reader("e.json", EXPORT, lambda path: answers.read([path], KEY)),
    "short export": Reader("e.json", MINIMAL, lambda path: answers.read([path], KEY)),
    "key": Reader("key.json", KEY_FILE, lambda path: design.read_key(path.parent)),
    "config": Reader("config", dataclasses.asdict(Config()), lambda path: config_json.from_json(path.read_bytes())),
    "TF_CONFIG": Reader("TF_CONFIG", CLUSTER, _cluster),
    "note of a download": Reader("x", ["etag", 700, ["md5", "ab"]], _part_note),
    "metadata.csv": Reader("metadata.csv", _metadata("csv"), _layout("imagefolder")),
    "metadata.jsonl": Reader("metadata.jsonl", _metadata("jsonl"), _layout("imagefolder")),
    "metadata.parquet": Reader("metadata.parquet", _parquet(), _layout("imagefolder")),
    "captions.txt": Reader(
        "captions.txt", b'image,caption\r\n1.jpg,"a ""bird"""\r\n2.png,two, three\r\n', _layout("table")
    ),
    "Flickr8k.token.txt": Reader("Flickr8k.token.txt", b"1.jpg#0\ta bird\n2.png#0\ttwo\n", _layout("table")),
    "results.csv": Reader("results.csv", b"image_name| comment_number| comment\n1.jpg| 0| a bird\n", _layout("table")),
    "text beside an image": Reader("1.txt", b"a bird\nein V\xc3\xb6gelchen\n", _layout("txt")),
    "samples": Reader("samples.tar", _samples(), _layout("webdataset")),
    "any captions": Reader("captions.json", COCO, _layout("coco")),
    "facts": Reader("captioned_images.json", FACTS, _facts),
    "tokenizer": Reader("tokenizer.json", TOKENIZER, lambda path: tokenizer_files.read(path.parent)),
    "safetensors": Reader("model.safetensors", _safetensors(), _weights),
    "best checkpoint": Reader("best.json", {"checkpoint": "step-7", "value": 1.5, "protocol": "ab"}, _best),
    "result": Reader("7.json", RESULT_OF_METRICS, lambda path: str(results.table([("7", results.read(str(path)))]))),
    "dual encoder": Reader("dual_encoder.json", DUAL_ENCODER, lambda path: dual_encoder.read_report(str(path.parent))),
    "what was skipped": Reader("skipped.jsonl", SKIPPED, lambda path: skipped.read_kinds(path.parent, ["train"])),
    "images of a table": Reader("captions.tsv", b"1.jpg\ta ball\n2.jpg\ta star\t7\n", _images_of_a_table),
    "pairs": Reader("p.tsv", b"a ball\t1.jpg\na star\t2.jpg\n", lambda path: read_pairs(path.parent, path)),
    "tar": Reader("a.tar", _tar("w"), _read_tar),
    "tar with attributes": Reader("a.tar", _tar("w:gz"), _read_tar),
    "zip": Reader("a.zip", _zip(), _unpack),
    "pickle": Reader("label_16_dog.pkl", pickle.dumps(SOA, 2), _caption_lists),
    "text pickle": Reader("label_16_dog.pkl", pickle.dumps(SOA, 0), _caption_lists),
}


def _as_bytes(valid: bytes | list | dict) -> bytes:
    return valid if isinstance(valid, bytes) else json.dumps(valid).encode()


def _read(reader: Reader, content: bytes) -> str:
    """Reads a file; returns the error, which must be one line that names the file, or ''."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / reader.name
        path.write_bytes(content)
        start = time.process_time()
        try:
            reader.read(path)
        except (ValueError, OSError) as error:  # Any other error is a fault of the code.
            message = str(error)
            assert reader.name in message, message
            assert "\n" not in message and len(message) < 1000, message
            return message
        finally:
            assert time.process_time() - start < _SECONDS
    return ""


@pytest.mark.parametrize("name", READERS)
def test_valid_files_are_read(name):
    assert not _read(READERS[name], _as_bytes(READERS[name].valid))


def _try(name: str, num_examples: int, repeatable: bool) -> None:
    reader = READERS[name]
    content = mutated(_as_bytes(reader.valid))
    if not isinstance(reader.valid, bytes):
        content = st.one_of(content, swapped(reader.valid))

    @hypothesis.settings(
        max_examples=num_examples,
        deadline=None,
        derandomize=repeatable,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(content)
    def check(data: bytes) -> None:
        _read(reader, data)

    check()


@pytest.mark.parametrize("name", READERS)
def test_mutations_give_a_result_or_one_line(name):
    _try(name, num_examples=40, repeatable=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_mutations_give_a_result_or_one_line(name):
    _try(name, num_examples=2_000, repeatable=False)
