"""Tests of the paper's figures of images, from a run and an export."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pytest
from PIL import Image

from data_pipelines import prepare
from experiments.paper_figures import layout, sheets
from experiments.paper_figures.layout import Cell, Row, sheet
from tests.support import own_images

CAPTION, OTHER = "a red ball on the beach", "two small trees at night"


def _levels(a, b) -> int:
    return np.max(np.abs(np.asarray(a, int) - np.asarray(b, int)))


@pytest.mark.slow
def test_a_run_and_its_export_draw_the_same(of_run, exported):
    assert of_run.name.endswith("step 12") and exported.name == "ball/1"
    assert of_run.noise_dim == exported.noise_dim == 32 and of_run.attends and exported.attends
    assert _levels(of_run([CAPTION, OTHER], [1, 2]), exported([CAPTION, OTHER], [1, 2])) <= 1
    z = exported.noise([1, 2])
    np.testing.assert_array_equal(of_run.noise([1, 2]), z)
    shares = [0.3, 0.7]
    mixed = [model.mixed([CAPTION, OTHER], [OTHER, CAPTION], shares, z) for model in (of_run, exported)]
    assert _levels(*mixed) <= 1
    attended = [model.attention([CAPTION, OTHER], z) for model in (of_run, exported)]
    np.testing.assert_allclose(attended[0].attention, attended[1].attention, atol=1e-4)
    assert attended[0].words == attended[1].words
    assert of_run.tokens([CAPTION]) == exported.tokens([CAPTION])


def test_noise(of_run, exported):
    drawn = sheets.noise_sheet({"run": of_run, "export": exported}, [CAPTION], [3, 4])
    assert [row.label for row in drawn.rows] == [f"{CAPTION} (run)", f"{CAPTION} (export)"]
    assert drawn.titles == ["z 3", "z 4"]
    for column in range(2):
        assert _levels(drawn.rows[0].cells[column].image, of_run([CAPTION], [3 + column])[0]) <= 1


def test_the_captions_of_an_image(exported, scenes_dir):
    drawn = sheets.captions_sheet(exported, "scenes", str(scenes_dir), num_images=3, seed=1)
    assert len(drawn.rows) == 3
    for row in drawn.rows:
        real, *others = row.cells
        assert real.text == "real" and len(others) == 5
        assert _levels(others[0].image, exported([others[0].text], [1])[0]) <= 1
    again = sheets.captions_sheet(exported, "scenes", str(scenes_dir), num_images=3, seed=1)
    assert [row.cells[1].text for row in again.rows] == [row.cells[1].text for row in drawn.rows]


def test_models_side_by_side(of_run, exported, scenes_dir):
    drawn = sheets.models_sheet({"a": of_run, "b": exported}, "scenes", str(scenes_dir), num_captions=4, seed=0)
    assert drawn.titles == ["original", "a", "b"] and len(drawn.rows) == 4
    for row in drawn.rows:
        assert _levels(row.cells[1].image, row.cells[2].image) <= 1
        assert _levels(row.cells[0].image, row.cells[1].image) > 10


@pytest.mark.parametrize("geometry", ["squash", "crop"])
def test_real_images_become_square_as_in_training(geometry, exported, tmp_path):
    own_images.write_wide(tmp_path / "birds", 2)
    prepare.convert_own("birds", tmp_path / "birds", tmp_path / "data")
    listed = ("birds", str(tmp_path / "data"), 1, 0)
    for drawn in (
        sheets.captions_sheet(exported, *listed, geometry=geometry),
        sheets.models_sheet({"a": exported}, *listed, geometry=geometry),
    ):
        assert (drawn.rows[0].cells[0].image.min() >= 199) == (geometry == "crop")


def test_ways(exported):
    drawn = sheets.ways_sheet(exported, [CAPTION, OTHER], [5, 6])
    captions, noise = drawn.rows
    assert _levels(captions.cells[0].image, noise.cells[0].image) <= 1
    assert _levels(captions.cells[-1].image, exported([OTHER], [5])[0]) <= 1
    assert _levels(noise.cells[-1].image, exported([CAPTION], [6])[0]) <= 1


def test_attention(exported):
    drawn = sheets.attention_sheet(exported, [CAPTION, OTHER], seed=0)
    words = [cell.text.split()[0] for cell in drawn.rows[0].cells[1:]]
    assert words == ["[CLS]", *CAPTION.split(), "[SEP]"]
    shares = [int(cell.text.split()[1].rstrip("%")) for cell in drawn.rows[0].cells[1:]]
    assert sum(shares) == pytest.approx(100, abs=len(shares))


def test_images_are_in_their_places_and_nothing_is_cut_off(tmp_path):
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    red, green, blue = (np.tile(color, [8, 8, 1]) for color in colors)
    long = "a caption of many words that has to be broken into more than one line " * 2
    rows = [Row([Cell(red, "below"), Cell(green, long)], "left"), Row([Cell(None), Cell(blue)], long)]
    files = layout.save(sheet(rows, ["one", "two"]), str(tmp_path / "new" / "sheet"))
    assert [file.rsplit(".")[-1] for file in files] == ["png", "pdf"]
    pixels = np.array(Image.open(files[0]).convert("RGB")).astype(int)
    centers = []
    for color in colors.astype(int):
        y, x = np.nonzero(np.all(np.abs(pixels - color) < 8, axis=-1))
        assert len(y) == pytest.approx(200 * 200, rel=0.02)  # One inch by one inch.
        centers.append((y.mean(), x.mean()))
    (red_y, red_x), (green_y, green_x), (blue_y, blue_x) = centers
    assert red_y == pytest.approx(green_y, abs=1) and green_x == pytest.approx(blue_x, abs=1)
    assert green_x - red_x > 200 and blue_y - green_y > 200
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    np.testing.assert_array_equal(edge, 255)  # No letter reaches the edge.


def test_the_text_of_a_pdf_is_text(tmp_path):
    row = Row([Cell(np.zeros([8, 8, 3], np.uint8), "a $5 ball_1 with \\frac")], "left")
    _, pdf = layout.save(sheet([row]), str(tmp_path / "sheet"))
    with open(pdf, "rb") as file:
        content = file.read()
    assert b"/FontFile2" in content  # TrueType.
    streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    pages = []
    for stream in streams:
        try:
            pages.append(zlib.decompress(stream.rstrip(b"\r\n")))
        except zlib.error:
            continue
    # Strings with two bytes per letter, and the distances between them.
    lines = [line for page in pages for line in re.findall(rb"\[(.*?)\]\s*TJ", page, re.DOTALL)]
    texts = [b"".join(re.findall(rb"\((.*?)\)", line)).replace(b"\0", b"") for line in lines]
    assert texts[0] == b"left" and texts[1].startswith(b"a $5 ball_1 wit")


@pytest.mark.slow  # The sheets: above. The command line: below.
def test_the_command(drawing_run, export_dir, scenes_dir, command, tmp_path):
    models = [f"--model=run={drawing_run}", f"--model=export={export_dir}"]
    arguments = ["--figure=models", *models, "--dataset=scenes", f"--data_dir={scenes_dir}", f"--output={tmp_path}"]
    process = command("experiments.figures", *arguments, "--num_rows=2")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "models.png and " in output and "export: ball/1" in output
    assert Image.open(tmp_path / "models.png").width > 3 * 200


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--figure is missing"),
        (["--figure=noise", "--model=x"], "give models as --model=NAME=FOLDER"),
        (["--figure=noise", "--model=a=x", "--model=a=y", "--caption=c"], "each with a name of its own"),
        (["--figure=attention", "--model=a=x", "--model=b=y", "--caption=c"], "is of one model"),
        (["--figure=noise", "--model=a=x"], "needs a --caption"),
        (["--figure=models", "--model=a=x"], "takes its captions from --dataset"),
        (["--figure=ways", "--model=a=x", "--caption=c", "--num_noise=1"], "give two --caption, or --num_noise=2"),
    ],
)
def test_mistakes_get_one_line(arguments, message, command):
    process = command("experiments.figures", *arguments)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and message in errors
