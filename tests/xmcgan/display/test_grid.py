import os

import numpy as np
import pytest
from PIL import Image, ImageFont

from xmcgan.display import grid

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def flat(color, size=64):
    """One image of one color."""
    return np.full((size, size, 3), color, np.uint8)


def test_small_images_are_doubled_and_lie_in_their_cells():
    picture = grid.image_grid(np.array([[flat(RED), flat(GREEN)], [flat(BLUE), flat(RED)]]))
    # 12 pixels of margin, twice 128 of image with 4 between.
    assert picture.shape == (12 + 128 + 4 + 128 + 12, 12 + 128 + 4 + 128 + 12, 3)
    assert picture.dtype == np.uint8
    for top, left, color in [(12, 12, RED), (12, 144, GREEN), (144, 12, BLUE), (144, 144, RED)]:
        assert (picture[top : top + 128, left : left + 128] == color).all()
    picture[12:140, 12:140] = picture[12:140, 144:272] = picture[144:272, 12:140] = picture[144:272, 144:272] = WHITE
    assert (picture == WHITE).all()


def test_images_are_kept_upright_and_exact_where_they_are_large():
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 128, 192, 3), np.uint8)
    picture = grid.image_grid(image)
    np.testing.assert_array_equal(picture[12:140, 12:204], image[0, 0])


def test_labels_move_the_images_and_leave_them_free():
    images = np.array([[flat(RED), flat(GREEN)]])
    plain = grid.image_grid(images)
    labelled = grid.image_grid(images, ["A red circle " * 200], ["real", "a title that is far too wide " * 5])
    height, width, _ = plain.shape
    left, top = labelled.shape[1] - width, labelled.shape[0] - height
    assert left > 200 and top > 15
    np.testing.assert_array_equal(labelled[top + 12 :, left + 12 :], plain[12:, 12:])
    caption = labelled[top + 12 :, : left + 12]
    assert (caption < 128).any()  # There is ink,
    assert (caption[128:] == 255).all() and (caption[:, -10:] == 255).all()  # and none beside its cell.
    assert (labelled[: top + 6, :left] == 255).all()


@pytest.mark.parametrize(
    "columns, size, rows", [(4, 64, 128), (4, 256, 64), (100, 64, 10), (1000, 256, 1), (2000, 64, 1)]
)
def test_pages_are_of_a_size_that_programs_open(columns, size, rows):
    assert grid.rows_of_page(columns, size) == rows


def test_scale_is_obeyed():
    assert grid.image_grid(flat(RED, 16)[None, None], scale=3).shape == (12 + 48 + 12, 12 + 48 + 12, 3)
    assert grid.image_grid(flat(RED, 16)[None, None], scale=1).shape == (12 + 16 + 12, 12 + 16 + 12, 3)


@pytest.mark.parametrize(
    ("images", "rows", "columns"),
    [
        (np.zeros((2, 2, 8, 8, 3), np.float32), [], []),
        (np.zeros((2, 8, 8, 3), np.uint8), [], []),
        (np.zeros((0, 2, 8, 8, 3), np.uint8), [], []),
        (np.zeros((2, 2, 8, 8, 3), np.uint8), ["one"], []),
        (np.zeros((2, 2, 8, 8, 3), np.uint8), [], ["one", "two", "three"]),
    ],
)
def test_wrong_shapes_and_numbers_of_labels_are_refused(images, rows, columns):
    with pytest.raises(ValueError, match="a grid "):
        grid.image_grid(images, rows, columns)


def test_wrapping_loses_no_words_and_keeps_the_width():
    font = ImageFont.load_default(15)
    text = "A small  red circle\nto the left of " + "W" * 100 + " é 漢字 and nothing else"
    lines = grid.wrap_text(text, font, 150, max_lines=99)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert max(font.getlength(line) for line in lines) <= 150
    assert lines[0] == "A small red circle to"
    assert grid.wrap_text("", font, 150, 3) == grid.wrap_text("  \n", font, 150, 3) == []
    assert grid.wrap_text("ab c", font, 1, 9) == ["a", "b", "c"]  # Narrower than any letter: still an end.


def test_long_text_is_shortened_with_an_ellipsis():
    font = ImageFont.load_default(15)
    text = " ".join(f"word{index}" for index in range(500))
    lines = grid.wrap_text(text, font, 150, max_lines=4)
    assert len(lines) == 4
    assert [line.endswith("...") for line in lines] == [False, False, False, True]
    assert max(font.getlength(line) for line in lines) <= 150
    assert text.startswith(" ".join(lines)[:-3])
    assert grid.wrap_text("fits", font, 150, max_lines=1) == ["fits"]


def test_endless_words_are_cut():
    font = ImageFont.load_default(15)
    for text in ("w" * 3_000_000, "w " * 3_000_000, "\u0301" * 3_000_000):
        assert grid.wrap_text(text, font, 150, max_lines=1)[0].endswith("...")
    assert grid.image_grid(flat(RED)[None, None], ["w" * 3_000_000]).shape[0] == 12 + 128 + 12


def test_png_is_exact_and_whole_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "samples" / "a.png"
    first = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    grid.save_png(path, first)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), first)

    def full_disk(image, file, **options):
        file.write(b"\x89PNG")
        raise OSError(28, "No space left on device", file.name)

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        grid.save_png(path, first + 1)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), first)
    assert os.listdir(path.parent) == ["a.png"]
