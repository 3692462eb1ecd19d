from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data_pipelines import prepare
from eval.geometry import common_geometry, identify_geometry
from eval.ranking import export, ranked_models
from eval.retrieval.caption_pairs import ConvertedPairs
from eval.retrieval.conceptual_captions import ConceptualCaptions, read_pairs
from tests.support import own_images

COUNT = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Wide images, in `00000/`, and their records in `data/`; whose central square is of levels from 200."""
    folder = tmp_path_factory.mktemp("wide")
    own_images.write_wide(folder / "00000", COUNT)
    prepare.convert_own("birds", folder / "00000", folder / "data", layout="txt")
    return folder


def _are_cropped(images) -> bool:
    """Tells whether images show only the central square; otherwise all of them show the rest as well."""
    cropped = [np.asarray(image).min() >= 199 for image in images]
    assert all(cropped) or not any(cropped)
    return all(cropped)


@pytest.mark.parametrize("geometry", ["squash", "crop"])
def test_a_dual_encoder_sees_what_the_metrics_see(geometry, folder):
    table = folder / "captions.tsv"
    table.write_text("".join(f"square {number}\t{number:03d}.png\n" for number in range(COUNT)))
    listed = read_pairs(folder / "00000", table)
    for pairs in (
        ConvertedPairs("birds", folder / "data", geometry),
        ConceptualCaptions(folder / "00000", listed, geometry=geometry),
    ):
        batch = next(iter(pairs.training_batches(batch_size=8, image_size=20, seed=0, start_batch=0)))
        held_out = next(iter(pairs.held_out_batches(batch_size=2, image_size=20)))
        assert _are_cropped([*batch.image.numpy(), *held_out.image.numpy()]) == (geometry == "crop")
        assert pairs.identity.get("geometry", "squash") == geometry


@pytest.mark.parametrize("geometry", ["squash", "crop", None])
def test_a_ranking_shows_all_images_in_one_geometry(geometry, folder, tmp_path):
    draw = ranked_models.draw_captions("birds", str(folder / "data"), 2, 0)
    table = "".join(f"{caption.split()[-1]:0>3}.png\t{caption}\n" for caption in draw.captions)
    (folder / "00000" / "captions.tsv").write_text(table)
    models = {"real": "dataset", "files": str(folder / "00000")}
    export.export(tmp_path, models, draw, image_size=32, geometry=geometry)
    images = [np.asarray(Image.open(path)) for path in tmp_path.glob("label_studio/**/*.png")]
    assert len(images) == 4 and _are_cropped(images) == (geometry == "crop")
    if geometry == "crop":
        with pytest.raises(ValueError, match='holds a ranking with other geometry: "crop", not null'):
            export.export(tmp_path, models, draw, image_size=32)


@pytest.mark.parametrize(
    ("geometries", "common"),
    [
        ({}, "squash"),
        ({"a": None}, "squash"),
        ({"a": None, "b": "crop", "c": None, "d": "crop"}, "crop"),
        ({"a": "squash", "b": "squash"}, "squash"),
    ],
)
def test_trained_models_say_how_other_images_become_square(geometries, common):
    assert common_geometry(geometries) == common


def test_models_of_different_geometry_need_a_choice():
    with pytest.raises(
        ValueError, match=r"'b' was trained with data.geometry=crop, but 'c' with squash: .* --geometry"
    ):
        common_geometry({"a": None, "b": "crop", "c": "squash"})


def test_the_default_leaves_identities_as_they_were():
    assert identify_geometry("squash") == {}
    assert identify_geometry("crop") == {"geometry": "crop"}
