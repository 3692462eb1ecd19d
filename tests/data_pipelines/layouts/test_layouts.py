"""One drawn set in every layout is read as the same images, captions and splits; what is odd is counted and named."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from etils import epath

from data_pipelines.builders import narratives, tar_files
from data_pipelines.layouts import recognize, rows, splits
from data_pipelines.layouts.listing import Options
from data_pipelines.layouts.tree import Tree
from tests.support import own_images
from tests.support.own_images import WRITERS

# Folders within folders, spaces, accents, endings in capitals.
NAMES = [f"00{i % 3}.Kind/Bird {i} é.{'JPG' if i % 4 else 'png'}" for i in range(20)]
IMAGES = own_images.draw(NAMES)
CAPTIONS = {name: tuple(image.captions) for name, image in IMAGES.items()}


def read(folder, layout="", **options):
    """Returns the layout's name, {split: {name: captions}}, and (what, name, reason) of all issues."""
    tree, options = Tree(epath.Path(folder)), Options(**options)
    found = recognize.find_layout(tree, options, layout)
    listing = found.read(tree, options)
    division = splits.divide(tree, listing.images, 0.3)
    images = {
        split: {each.name: each.image.captions for each in placed if each.image.captions and each.image.path}
        for split, placed in division.images.items()
    }
    placed = [each for group in division.images.values() for each in group]
    issues = [(issue.what, issue.name, issue.reason) for group in division.issues.values() for issue in group]
    issues += [(issue.what, issue.name, issue.reason) for issue in listing.issues]
    issues += [("image", each.name, "missing") for each in placed if not each.image.path]
    issues += [("image", each.name, "no caption") for each in placed if not each.image.captions]
    return found.name, images, sorted(issues)


def captions_of(images):
    return {name: captions for group in images.values() for name, captions in group.items()}


@pytest.fixture(scope="module")
def expected_splits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    own_images.text_beside(folder, IMAGES)
    return {split: set(images) for split, images in read(folder)[1].items()}


@pytest.mark.parametrize("form", WRITERS)
def test_every_layout_is_recognized_and_read_alike(form, tmp_path, expected_splits):
    layout, write = WRITERS[form]
    write(tmp_path, IMAGES)
    found, images, issues = read(tmp_path)
    assert (found, issues) == (layout, [])
    assert captions_of(images) == CAPTIONS
    assert {split: set(group) for split, group in images.items()} == expected_splits
    assert 2 <= len(images["validation"]) <= 10


@pytest.mark.parametrize("form", ["metadata.csv", "metadata.jsonl", "kaggle", "flickr8k", "flickr30k", "coco"])
def test_tables_that_name_other_files_than_there_are(form, tmp_path):
    layout, write = WRITERS[form]
    write(tmp_path, IMAGES)
    lost, unnamed = NAMES[3], "002.Kind/unnamed.jpeg"
    (path,) = tmp_path.glob(f"**/{lost}")
    shutil.move(path, path.parent.parent / unnamed)
    found, images, issues = read(tmp_path)
    assert found == layout
    assert captions_of(images) == {name: captions for name, captions in CAPTIONS.items() if name != lost}
    assert issues == sorted([("image", lost, "missing"), ("image", unnamed, "no caption")])


@pytest.mark.parametrize("form", ["txt", "text_c10"])
def test_texts_without_an_image_and_images_without_a_text(form, tmp_path):
    layout, write = WRITERS[form]
    write(tmp_path, IMAGES)
    lost = NAMES[3]
    (path,) = tmp_path.glob(f"**/{lost}")
    path.unlink()
    (empty,) = tmp_path.glob(f"**/{NAMES[1].rpartition('.')[0]}.txt")
    empty.write_text("\n \n")
    found, images, issues = read(tmp_path)
    assert found == layout
    assert captions_of(images) == {name: CAPTIONS[name] for name in NAMES if name not in (lost, NAMES[1])}
    kinds = {(what, reason) for what, _, reason in issues}
    assert kinds == {("caption", "text file without an image"), ("image", "no caption")}
    assert any(lost.rpartition(".")[0] in name for _, name, _ in issues)


@pytest.mark.parametrize("form", ["tar of txt", "tar of json"])
def test_samples_of_a_tar_file_that_lack_a_part(form, tmp_path):
    images = dict(IMAGES)
    images[NAMES[4]] = own_images.Drawn(IMAGES[NAMES[4]].content, [])
    WRITERS[form][1](tmp_path, images)
    _, found, issues = read(tmp_path)
    assert captions_of(found) == {name: CAPTIONS[name] for name in NAMES if name != NAMES[4]}
    assert issues == [("image", NAMES[4], "no caption")]


def test_names_in_another_case_or_with_accents_of_two_characters_are_found(tmp_path):
    own_images.kaggle_csv(tmp_path, IMAGES)
    table = tmp_path / "captions.txt"
    table.write_text(table.read_text(encoding="utf-8").replace("é", "é").replace(".JPG", ".jpg"), encoding="utf-8")
    _, images, issues = read(tmp_path)
    assert (captions_of(images), issues) == (CAPTIONS, [])


@pytest.mark.parametrize(
    ("table", "captions"),
    [
        # Separators and quotation marks that nobody quoted.
        ("image,caption\na.jpg,one, two, three\nb.jpg,four", {"a.jpg": ("one, two, three",), "b.jpg": ("four",)}),
        (
            'a.jpg,"Stop" says a sign\nb.jpg,"and\na.jpg,then',
            {"a.jpg": ('"Stop" says a sign', "then"), "b.jpg": ('"and',)},
        ),
        ('a.jpg,"two\nlines"\nb.jpg,x', {"a.jpg": ("two\nlines",), "b.jpg": ("x",)}),
        ("a.jpg\tone\r\nb.jpg\ttwo, too\r\n", {"a.jpg": ("one",), "b.jpg": ("two, too",)}),
        ("a.jpg#0\tone\na.jpg#1\ttwo\n\nb.jpg#0\t3", {"a.jpg": ("one", "two"), "b.jpg": ("3",)}),
        ("number;Image Name;Description\n0;a.jpg;one;two\n1;b.jpg;3", {"a.jpg": ("one;two",), "b.jpg": ("3",)}),
        ('image,caption\na.jpg,"[""one"", ""two""]"\nb.jpg,[x]', {"a.jpg": ("one", "two"), "b.jpg": ("[x]",)}),
        ("image,caption\na,one\nb,two", {"a.jpg": ("one",), "b.jpg": ("two",)}),
    ],
)
def test_forms_of_tables(table, captions, tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "captions.csv").write_bytes(table.encode())
    _, images, issues = read(tmp_path)
    assert captions_of(images) == captions
    assert issues == []


def test_flickr30k_has_a_line_without_a_caption(tmp_path):
    own_images.flickr30k_results(tmp_path, IMAGES)
    with open(tmp_path / "results.csv", "a", encoding="utf-8") as file:
        file.write(f"\n{NAMES[0]}| 4   A dog runs")
    assert read(tmp_path)[2] == [("caption", "results.csv, line 42", "line without a caption")]


def test_a_caption_column_where_there_are_none(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.txt").write_text("a cat")
    with pytest.raises(
        ValueError, match=r"^--caption_column=text does not apply to layout 'txt', which has no columns"
    ):
        read(tmp_path, caption_column="text")


def test_a_caption_column_is_chosen_by_name(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    rows = [{"file_name": "a.jpg", "text": "no", "Long Text": ["x", "y"]}, {"file_name": "b.jpg", "Long Text": "z"}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    _, images, _ = read(tmp_path, caption_column="long_text")
    assert captions_of(images) == {"a.jpg": ("x", "y"), "b.jpg": ("z",)}
    with pytest.raises(ValueError, match=r"row 1 has no column 'wide', but file_name, text, Long Text: name one"):
        read(tmp_path, caption_column="wide")


def test_pipes_are_passed_over_and_not_waited_for(tmp_path):
    for name in ("captions.csv", "captions.json", "metadata.jsonl", "a.tar", "a.jpg", "a.txt"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "b.jpg").write_bytes(b"image")
    assert Tree(epath.Path(tmp_path)).files == ["b.jpg"]
    with pytest.raises(ValueError, match=r"damaged archive a\.tar"):
        list(tar_files.read(tmp_path / "a.tar", ["a.jpg"], 10))
    with pytest.raises(ValueError, match=r"captions\.json is a pipe or a device, not a file"):
        narratives.by_image([epath.Path(tmp_path / "captions.json")])


@pytest.mark.parametrize("first", ["", "\n \n"])
def test_a_first_line_of_any_length(first):
    assert rows.form_of(f"{first}image,caption\n1.jpg,a") == rows.Form(",", ("image", "caption"), 0)
    assert rows.form_of(f"{first}\timage\tcaption") == rows.Form("\t", ("", "image", "caption"), 1)
    assert rows.form_of(first + "a" * 200_000 + ",1.jpg") is None


def test_parquet_needs_pyarrow(tmp_path, monkeypatch):
    own_images.metadata_parquet(tmp_path, IMAGES)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"needs pyarrow: pip install 'xmcgan\[parquet\]'"):
        read(tmp_path)


def test_a_name_that_fits_several_images_is_not_guessed(tmp_path):
    own_images.coco_json(tmp_path, IMAGES)
    name = NAMES[0].rpartition("/")[2]
    (tmp_path / "photographs/other").mkdir()
    shutil.copy(tmp_path / "photographs" / NAMES[1], tmp_path / "photographs/other" / name)
    path = tmp_path / "annotations/captions.json"
    path.write_text(path.read_text().replace(json.dumps(NAMES[0]), json.dumps(name)))
    _, images, issues = read(tmp_path)
    assert NAMES[0] not in captions_of(images)
    assert [issue for issue in issues if issue[0] == "caption"] == [
        ("caption", name, "name that fits several images")
    ] * 2


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.jpg": "", "notes.pdf": ""},
            "only 1 images and 1 other files, such as notes.pdf: arrange it as one of: im",
        ),
        ({}, "only 0 images and 0 other files: arrange"),
        (
            {"a.jpg": "", "a.txt": "x", "captions.csv": "a.jpg,x"},
            "2 ways: choose --layout=table for captions.csv; --layout=txt for 1 of 1 images with a text file beside",
        ),
        ({"a.jpg": "", "a.txt": "x"}, "1 images: a split for training and one for validation need two"),
        ({"a.jpg": "", "captions.csv": "a.jpg,x", "captions_2.csv": "a.jpg,x"}, "both describe a.jpg: keep one"),
        (
            {"a.jpg": "", "metadata.csv": "file_name,words\na.jpg,x"},
            "has no column text.*but file_name, words: name one",
        ),
        ({"a.jpg": "", "metadata.jsonl": "{"}, r"metadata.jsonl, line 1.* cut off"),
        ({"a.jpg": "", "x.tar": "no archive"}, r"damaged archive x.tar: write .*x.tar again, or leave it out"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(files, message, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        read(tmp_path)
    assert "\n" not in str(raised.value)
