from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipelines import image_files
from eval import image_folder
from eval.sources import FolderImages


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, mode, size in (("a.png", "RGB", 64), ("b.jpg", "RGB", 64), ("c.png", "L", 48), ("d.png", "RGBA", 64)):
        shape = (size, size) if mode == "L" else (size, size, len(mode))
        Image.fromarray(rng.integers(256, size=shape, dtype=np.uint8), mode).save(tmp_path / name)
    (tmp_path / "captions.tsv").write_text("a.png\ta cat\nb.jpg\ta dog\t7\r\n\nc.png\t a bird \t7\nd.png\tein Käfer\n")
    return tmp_path


def test_images_come_with_their_captions(folder):
    images = image_folder.read(str(folder))
    assert images.files == [str(folder / name) for name in ("a.png", "b.jpg", "c.png", "d.png")]
    assert images.captions.captions == ["a cat", "a dog", "a bird", "ein Käfer"]
    assert images.captions.image_ids == ["a.png", "7", "7", "d.png"]
    assert images.summary() == "4 images taken"
    assert image_folder.check(images.files) == {"transparency laid over white": 1}

    source = FolderImages(images.files, image_size=64)
    batches = [batch["image"].numpy() for batch in source.batches(1, 2)]
    assert [batch.shape for batch in batches] == [(2, 64, 64, 3), (1, 64, 64, 3)]
    np.testing.assert_array_equal(batches[0][0], image_files.read(folder / "b.jpg").rgb)
    np.testing.assert_array_equal(batches[1][0], image_files.read(folder / "d.png").rgb)
    grey = np.asarray(Image.open(folder / "c.png"))[..., None].repeat(3, -1)
    resized = tf.image.resize(grey, (64, 64), method="bilinear")  # As the dataset's own images are.
    np.testing.assert_array_equal(batches[0][1], np.rint(resized))

    one_by_one = [batch["image"].numpy() for batch in FolderImages(images.files).batches(1, 2)]
    assert [batch.shape for batch in one_by_one] == [(1, 64, 64, 3), (1, 48, 48, 3), (1, 64, 64, 3)]
    np.testing.assert_array_equal(one_by_one[1][0], grey)


def test_what_was_taken_and_what_was_passed_over_is_said(folder):
    for name in (".hidden.png", "e.webp", "f.TIF", "notes.txt", "README"):
        (folder / name).write_bytes(b"")
    for name in ("x/g.png", "x/y/h.jpg", "x/notes.txt", "eval/curve.png", ".cache/i.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    found = {"images in subfolders": 2, "hidden": 1, ".txt": 1, "of other kinds": 1}
    images = image_folder.read(str(folder))
    assert images.passed_over == {"that the table does not name": 2, **found}
    (folder / "captions.tsv").unlink()
    images = image_folder.read(str(folder), needs_captions=False)
    assert images.passed_over == found
    assert images.summary().startswith("6 images taken; passed over: 2 images in subfolders, 1 ")


def test_every_damaged_image_is_found_before_the_work_begins(folder):
    for name in ("b.jpg", "c.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:1000])
    files = image_folder.read(str(folder)).files
    with pytest.raises(ValueError, match=r"/b\.jpg cannot be used \(truncated JPEG\): replace it.* \(and 1 others\)$"):
        image_folder.check(files)
    for source in (FolderImages(files), FolderImages(files, image_size=64)):
        with pytest.raises(ValueError, match=r"/b\.jpg cannot be used"):
            list(source.batches(0, 2))


@pytest.mark.parametrize(
    "table, error, words",
    [
        (None, FileNotFoundError, "captions.tsv is missing: write lines of 'file<TAB>caption'"),
        ("a.png\ta cat\nz.png\ta dog\n", FileNotFoundError, "z.png is missing: line 2 of"),
        ("a.png a cat\n", ValueError, "line 1: not 'file<TAB>caption'"),
        ("a.png\t \n", ValueError, "line 1: not 'file<TAB>caption'"),
        ("a.png\ta\t1\t2\n", ValueError, "line 1: not 'file<TAB>caption'"),
        ("a.png\ta cat\n", ValueError, "names 1 images: metrics need two or more"),
        ("a.png\ta cat\n/dev/zero\ta dog\n", ValueError, "line 2: '/dev/zero' is outside of the folder: write names"),
        ("a.png\ta cat\na.png\ta dog\n", ValueError, "line 2: 'a.png' is in line 1 already: write one line for each"),
        ("../a.png\ta cat\n", ValueError, r"line 1: '\.\./a\.png' is outside of the folder"),
        ("x/../../a.png\ta cat\n", ValueError, "line 1: .* is outside of the folder"),
    ],
)
def test_a_bad_table_is_refused(table, error, words, folder):
    (folder / "captions.tsv").unlink()
    if table is not None:
        (folder / "captions.tsv").write_text(table)
    with pytest.raises(error, match=words) as raised:
        image_folder.read(str(folder))
    assert "\n" not in str(raised.value)
    with pytest.raises(FileNotFoundError, match=r"^nothing is not a folder: pass a folder of images as --images"):
        image_folder.read("nothing")


def test_a_table_of_another_encoding_is_refused(folder):
    (folder / "captions.tsv").write_bytes("a.png\tein Käfer\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"captions\.tsv.*not UTF-8 text"):
        image_folder.read(str(folder))


def test_a_byte_order_mark_is_no_part_of_the_table(folder):
    before = image_folder.read(str(folder))
    (folder / "captions.tsv").write_text((folder / "captions.tsv").read_text(), encoding="utf-8-sig")
    assert image_folder.read(str(folder)) == before


@pytest.mark.parametrize("name", ["pipe.png", "x"])
def test_only_regular_files_are_images(name, folder):
    os.mkfifo(folder / "pipe.png")
    (folder / "x").mkdir()
    (folder / "captions.tsv").write_text(f"a.png\ta cat\n{name}\ta dog\n")
    with pytest.raises(ValueError, match=rf"{name} cannot be used \(unreadable image\)"):
        image_folder.check(image_folder.read(str(folder)).files)


def test_without_captions_all_images_are_taken(folder):
    (folder / "captions.tsv").unlink()
    images = image_folder.read(str(folder), needs_captions=False)
    assert images.files == [str(folder / name) for name in ("a.png", "b.jpg", "c.png", "d.png")]
    assert images.captions.captions == [""] * 4
    with pytest.raises(FileNotFoundError, match=r"other\.tsv is missing"):  # A table that is passed must exist.
        image_folder.read(str(folder), str(folder / "other.tsv"), needs_captions=False)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        image_folder.read(str(folder / "nothing"), needs_captions=False)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"has 0 images \(\.jpg, .*: metrics need two or more"):
        image_folder.read(str(folder / "empty"), needs_captions=False)
