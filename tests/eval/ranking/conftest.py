"""Images of two models, in folders, for the captions that a ranking draws from the small dataset of scenes."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest
from PIL import Image

NUM_CAPTIONS = 12
COLOURS = {"zebra": (200, 30, 30), "walrus": (30, 30, 200)}


@pytest.fixture(scope="session")
def draw(scenes_dir):
    """The captions."""
    from eval.ranking import ranked_models

    return ranked_models.draw_captions("scenes", str(scenes_dir), NUM_CAPTIONS, seed=3)


@pytest.fixture(scope="session")
def folders(draw, tmp_path_factory) -> dict[str, pathlib.Path]:
    """Folders of images by name of the model: red PNG and blue JPEG files, whose metadata contain the name."""
    root = tmp_path_factory.mktemp("images")
    captions = sorted(set(draw.captions))
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        folder = root / f"of_{name}"
        folder.mkdir()
        suffix = "png" if name == "zebra" else "jpg"
        for number, _ in enumerate(captions):
            pixels = np.clip(np.array(colour) + rng.integers(-20, 20, size=[40, 50, 1]), 0, 255).astype(np.uint8)
            exif = Image.Exif()
            exif[0x0131] = name  # Software.
            marks = {"exif": exif, **({"comment": name.encode()} if suffix == "jpg" else {})}
            Image.fromarray(pixels).save(folder / f"{name}{number}.{suffix}", **marks)
        lines = [f"{name}{number}.{suffix}\t  {caption}\n" for number, caption in enumerate(captions)]
        (folder / "captions.tsv").write_text("".join(lines))
    return {name: root / f"of_{name}" for name in COLOURS}
