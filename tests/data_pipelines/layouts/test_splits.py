"""Splits as the source says, else by a hash of the names; equal images never in two of them."""

from __future__ import annotations

import pytest
from etils import epath

from data_pipelines.layouts import splits, text_per_image
from data_pipelines.layouts.listing import Options
from data_pipelines.layouts.tree import Tree


def write(folder, contents):
    """Writes images with the given contents, and a text beside each."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.with_suffix(".txt").write_text("a caption")


def divide(folder, share=0.2):
    """Returns {split: names}, (split, action, name, reason) of all issues, and how the splits were found."""
    tree = Tree(epath.Path(folder))
    division = splits.divide(tree, text_per_image.read_beside(tree, Options()).images, share)
    issues = [
        (split, issue.action, issue.name, issue.reason) for split, group in division.issues.items() for issue in group
    ]
    names = {split: sorted(placed.name for placed in group) for split, group in division.images.items()}
    return names, sorted(issues), division.how


def distinct(*names):
    return {name: name for name in names}


def test_a_share_by_hash_depends_on_names_alone(tmp_path):
    names = [f"images/{i:04}.jpg" for i in range(400)]
    write(tmp_path / "all", distinct(*names))
    write(tmp_path / "half", distinct(*names[::2]))
    everything, issues, how = divide(tmp_path / "all")
    half, _, _ = divide(tmp_path / "half")
    assert issues == [] and how == "about 20% of the images are for validation, by a hash"
    assert 55 < len(everything["validation"]) < 105
    assert len(everything["train"]) + len(everything["validation"]) == 400
    assert set(half["validation"]) < set(everything["validation"]) and set(half["train"]) < set(everything["train"])
    # Fixed values: another machine, Python or version must find the same.
    assert everything["validation"][:4] == ["0001.jpg", "0006.jpg", "0013.jpg", "0016.jpg"]


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_at_least_one_image_is_for_validation(share, tmp_path):
    write(tmp_path, distinct("a.jpg", "b.jpg", "c.jpg"))
    names, _, _ = divide(tmp_path, share)
    assert (len(names["train"]), len(names["validation"])) == (2, 1)


def test_folders_named_after_splits(tmp_path):
    write(tmp_path, distinct("images/train/x/a.jpg", "images/Val2014/x/a.jpg", "images/testing/y/b.jpg"))
    names, issues, how = divide(tmp_path)
    assert names == {"train": ["x/a.jpg"], "validation": ["x/a.jpg"], "test": ["y/b.jpg"]}
    assert (issues, how) == ([], "splits as the source's folders say")


def test_a_class_of_trains_is_no_split(tmp_path):
    write(tmp_path, distinct("bus/a.jpg", "bus/b.jpg", "train/c.jpg", "train/d.jpg", "tram/e.jpg"))
    names, _, how = divide(tmp_path, 0.4)
    assert sorted(name for group in names.values() for name in group)[-2:] == ["train/d.jpg", "tram/e.jpg"]
    assert "by a hash" in how and "folders" not in how


def test_images_outside_of_the_folders_are_for_training_and_named(tmp_path):
    write(tmp_path, distinct("train/a.jpg", "test/b.jpg", "dev/c.jpg", "d.jpg"))
    names, issues, _ = divide(tmp_path)
    assert names == {"train": ["a.jpg", "d.jpg"], "test": ["b.jpg"], "validation": ["c.jpg"]}
    assert issues == [("train", "kept", "d.jpg", "image of no split: used for training")]


def test_without_validation_a_share_of_training_becomes_it(tmp_path):
    write(tmp_path, distinct(*(f"train/{i}.jpg" for i in range(50)), "test/x.jpg"))
    names, _, how = divide(tmp_path)
    assert names["test"] == ["x.jpg"] and 4 <= len(names["validation"]) <= 18
    assert how.startswith("splits as the source's folders say; about 20% of the training images")


def test_lists_of_names_with_and_without_endings_and_of_classes(tmp_path):
    write(tmp_path, distinct("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg", "c/5.jpg", "c/6.jpg"))
    (tmp_path / "Flickr_8k.trainImages.txt").write_bytes(b"\xef\xbb\xbfa/1.jpg\r\n2\r\n")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/val.txt").write_text("c\n")
    (tmp_path / "testclasses.txt").write_text("b\nnot there\n")
    names, issues, how = divide(tmp_path)
    assert names == {
        "train": ["a/1.jpg", "a/2.jpg"],
        "test": ["b/3.jpg", "b/4.jpg"],
        "validation": ["c/5.jpg", "c/6.jpg"],
    }
    assert issues == []
    assert how == "splits as the source's Flickr_8k.trainImages.txt, lists/val.txt, testclasses.txt say"


def test_an_image_on_two_lists_is_not_for_training(tmp_path):
    write(tmp_path, distinct("1.jpg", "2.jpg", "3.jpg"))
    (tmp_path / "trainval.txt").write_text("1\n2\n3")
    (tmp_path / "val.txt").write_text("2\n")
    assert divide(tmp_path)[0] == {"train": ["1.jpg", "3.jpg"], "validation": ["2.jpg"]}


def test_cub_200s_own_split(tmp_path):
    write(tmp_path, distinct(*(f"images/{i % 2}.Kind/{i}.jpg" for i in range(40))))
    (tmp_path / "images.txt").write_text("".join(f"{i} {i % 2}.Kind/{i}.jpg\n" for i in range(40)))
    (tmp_path / "train_test_split.txt").write_text("".join(f"{i} {int(i < 30)}\n" for i in range(40)))
    names, _, how = divide(tmp_path)
    assert len(names["test"]) == 10 and len(names["train"]) + len(names["validation"]) == 30
    assert "train_test_split.txt" in how


def test_equal_images_go_together(tmp_path):
    contents = distinct(*(f"{i:03}.jpg" for i in range(100)))
    contents.update({f"copy of {i:03}.jpg": f"{i:03}.jpg" for i in range(100)})
    write(tmp_path, contents)
    names, issues, _ = divide(tmp_path, 0.5)
    assert {f"copy of {name}" for name in names["validation"] if "copy" not in name} < set(names["validation"])
    assert len(issues) == 100 and {issue[3] for issue in issues} == {"same content as another image of its split"}


def test_equal_images_in_given_splits_stay_where_models_are_compared(tmp_path):
    write(tmp_path, {"train/a.jpg": "1", "train/b.jpg": "2", "val/c.jpg": "2", "test/d.jpg": "2", "test/e.jpg": "3"})
    names, issues, _ = divide(tmp_path)
    assert names == {"train": ["a.jpg"], "validation": ["c.jpg"], "test": ["e.jpg"]}
    assert issues == [
        ("test", "left out", "d.jpg", "same content as an image of validation"),
        ("train", "left out", "b.jpg", "same content as an image of validation"),
    ]


def test_names_that_are_no_text_are_left_out(tmp_path):
    write(tmp_path, distinct("a.jpg", "b.jpg"))
    with open(bytes(tmp_path) + b"/\xff.jpg", "w") as file:
        file.write("x")
    names, issues, _ = divide(tmp_path)
    assert sum(map(len, names.values())) == 2
    assert issues == [("train", "left out", r"\udcff.jpg", "file name is not UTF-8")]
