from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

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
    files, listed = image_folder.read(str(folder))
    assert files == [str(folder / name) for name in ("a.png", "b.jpg", "c.png", "d.png")]
    assert listed.captions == ["a cat", "a dog", "a bird", "ein Käfer"]
    assert listed.image_ids == ["a.png", "7", "7", "d.png"]

    source = FolderImages(files, image_size=64)
    batches = [batch["image"].numpy() for batch in source.batches(1, 2)]
    assert [batch.shape for batch in batches] == [(2, 64, 64, 3), (1, 64, 64, 3)]
    decoded = np.asarray(Image.open(folder / "b.jpg"), int)
    assert np.abs(batches[0][0] - decoded).max() <= 4  # Decoders differ in the last bits.
    np.testing.assert_array_equal(batches[1][0], np.asarray(Image.open(folder / "d.png"))[..., :3])
    grey = np.asarray(Image.open(folder / "c.png"))[..., None].repeat(3, -1)
    resized = tf.image.resize(grey, (64, 64), method="bilinear")  # As the dataset's own images are.
    np.testing.assert_array_equal(batches[0][1], np.rint(resized))

    one_by_one = [batch["image"].numpy() for batch in FolderImages(files).batches(1, 2)]
    assert [batch.shape for batch in one_by_one] == [(1, 64, 64, 3), (1, 48, 48, 3), (1, 64, 64, 3)]
    np.testing.assert_array_equal(one_by_one[1][0], grey)


def test_images_are_taken_as_they_are_stored(tmp_path, caplog):
    """Metrics and rankings follow the same rules: no rotation, palettes become RGB, and 16 bits become 8."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(8, 4, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: rotated by 90 degrees.
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    deep = rng.integers(2**16, size=(8, 4), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    palette = Image.fromarray(pixels).quantize(16)
    palette.save(tmp_path / "palette.png")
    files, _ = image_folder.read(str(tmp_path), needs_captions=False)
    deep_image, palette_image, turned_image = (batch["image"].numpy()[0] for batch in FolderImages(files).batches(0, 1))
    assert turned_image.shape == (8, 4, 3)
    assert "1 of 3 images have an EXIF rotation tag" in caplog.text
    np.testing.assert_array_equal(deep_image, np.repeat(deep[..., None] >> 8, 3, axis=-1))
    np.testing.assert_array_equal(palette_image, palette.convert("RGB"))


def test_a_damaged_image_is_named(folder):
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:1000])
    files, _ = image_folder.read(str(folder))
    for source in (FolderImages(files), FolderImages(files, image_size=64)):
        with pytest.raises(ValueError, match=r"b\.jpg is damaged: write it again, or leave it out"):
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
    ],
)
def test_a_bad_table_is_refused(table, error, words, folder):
    (folder / "captions.tsv").unlink()
    if table is not None:
        (folder / "captions.tsv").write_text(table)
    with pytest.raises(error, match=words) as raised:
        image_folder.read(str(folder))
    assert "\n" not in str(raised.value)


def test_a_table_of_another_encoding_is_refused(folder):
    (folder / "captions.tsv").write_bytes("a.png\tein Käfer\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"captions\.tsv is not UTF-8 text: save it as UTF-8"):
        image_folder.read(str(folder))


@pytest.mark.parametrize("content", [b"no image", b"", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_not_an_image_is_named(content, folder):
    (folder / "b.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"b\.jpg is not a readable image .*: replace it, or remove line 2 of"):
        image_folder.read(str(folder))
    Image.new("RGB", (8, 8)).save(folder / "b.jpg", format="TIFF")
    with pytest.raises(ValueError, match=r"TIFF is not PNG, JPEG"):
        image_folder.read(str(folder))


def test_without_captions_all_images_are_taken(folder):
    (folder / "captions.tsv").unlink()
    files, listed = image_folder.read(str(folder), needs_captions=False)
    assert files == [str(folder / name) for name in ("a.png", "b.jpg", "c.png", "d.png")]
    assert listed.captions == [""] * 4
    with pytest.raises(FileNotFoundError, match=r"other\.tsv is missing"):  # A table that is passed must exist.
        image_folder.read(str(folder), str(folder / "other.tsv"), needs_captions=False)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        image_folder.read(str(folder / "nothing"), needs_captions=False)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"has 0 images \(\.png, .*: metrics need two or more"):
        image_folder.read(str(folder / "empty"), needs_captions=False)
