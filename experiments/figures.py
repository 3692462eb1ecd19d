"""Draws the paper's figures of images, and similar ones, as PNG and PDF with typeset captions.

  python -m experiments.figures --figure=noise --model=ours=runs/demo --caption="a red ball on the beach"
  python -m experiments.figures --figure=captions --model=ours=exports/demo --dataset=scenes
  python -m experiments.figures --figure=models --model=ours=runs/demo --model=short=runs/short --dataset=scenes
  python -m experiments.figures --figure=ways --model=ours=runs/demo --caption="a red ball" --caption="a blue tree"
  python -m experiments.figures --figure=attention --model=ours=runs/demo --caption="a red ball on the beach"

  noise       one caption with several noise vectors (Fig. 8)
  captions    several captions of one image, after the real image (Fig. 9)
  models      random captions: the real image and the images of several models side by side (Figs. 10 to 12)
  ways        interpolations from one caption to the next, and from one noise vector to another
  attention   the generator's attention map of each word

A model is the folder of a training run (its newest checkpoint) or of an export; without --model, it is the one that
comes with the package. Images are not selected by hand: --seed determines captions, images and noise.
"""

from __future__ import annotations

import os

from absl import app, flags
from etils import epy

from data_pipelines import datasets
from eval.geometry import common_geometry
from xmcgan import command_line, model_flags, path_flags
from xmcgan.config import GEOMETRIES
from xmcgan.files import check_writable

with epy.lazy_imports():
    from experiments.paper_figures import layout, sheets
    from xmcgan import text_to_image
    from xmcgan.models import text_encoder

_BY_CAPTIONS, _BY_DATASET = ("noise", "ways", "attention"), ("captions", "models")
_FIGURE = flags.DEFINE_enum("figure", None, (*_BY_CAPTIONS, *_BY_DATASET), "What to draw. Required.")
_MODEL = flags.DEFINE_multi_string("model", [], "NAME=FOLDER of a run or an export (several for noise and models)")
_CAPTION = flags.DEFINE_multi_string("caption", [], "A caption, for noise, ways and attention")
_DATASET = command_line.define_dataset(datasets, "Dataset of captions and models: its validation split.", optional=True)
_DATA_DIR = command_line.define_data_dir()
_NUM_ROWS = flags.DEFINE_integer("num_rows", 6, "Rows of captions and models.", lower_bound=1, upper_bound=200)
_NUM_NOISE = flags.DEFINE_integer(
    "num_noise", 8, "Noise vectors of noise; ways uses up to 2.", lower_bound=1, upper_bound=64
)
_GEOMETRY = flags.DEFINE_enum(
    "geometry", None, GEOMETRIES, "How real images become square. [as --config.data.geometry of the models]"
)
_SEED = command_line.define_seed("Seed of captions, images and noise.")
_OUTPUT = path_flags.define_path("output", "figures", "Folder of the figures.")


def main(argv: list[str]) -> None:
    """Draws a figure and prints its files."""
    del argv
    kind, folders = _check()
    captions, seed = _CAPTION.value, _SEED.value
    if captions:
        text_encoder.check_captions(captions)
    check_writable(_OUTPUT.value)  # Before images are drawn.
    models = {name: text_to_image.TextToImage.load(folder, _DATA_DIR.value) for name, folder in folders.items()}
    first = next(iter(models.values()))
    seeds = list(range(seed, seed + _NUM_NOISE.value))
    geometry = _GEOMETRY.value or common_geometry({name: model.geometry for name, model in models.items()})
    listed = (_DATASET.value, _DATA_DIR.value, _NUM_ROWS.value, seed)
    figures = {
        "noise": lambda: sheets.noise_sheet(models, captions, seeds),
        "captions": lambda: sheets.captions_sheet(first, *listed, geometry=geometry),
        "models": lambda: sheets.models_sheet(models, *listed, geometry=geometry),
        "ways": lambda: sheets.ways_sheet(first, captions, seeds[:2]),
        "attention": lambda: sheets.attention_sheet(first, captions, seed),
    }
    drawn = figures[kind]()
    path = os.path.join(_OUTPUT.value, kind)
    files = layout.save(layout.sheet(drawn.rows, drawn.titles), path)
    names = ", ".join(f"{name}: {model.name}" for name, model in models.items())
    print(f"{' and '.join(files)} of {names}")


def _check() -> tuple[str, dict[str, str]]:
    """Returns which figure to draw, and the folders of its models by name.

    Raises:
      app.UsageError: a flag is missing, or does not apply to this figure.
    """
    kind = _FIGURE.value
    if kind is None:
        raise app.UsageError(f"--figure is missing: give one of {', '.join((*_BY_CAPTIONS, *_BY_DATASET))}")
    folders = model_flags.named_folders(_MODEL.value)
    if len(folders) > 1 and kind not in ("noise", "models"):
        raise app.UsageError(f"--figure={kind} is of one model: give --model once")
    if kind in _BY_CAPTIONS and not _CAPTION.value:
        raise app.UsageError(f"--figure={kind} needs a --caption")
    if kind == "ways" and len(_CAPTION.value) < 2 and _NUM_NOISE.value < 2:
        raise app.UsageError("--figure=ways interpolates between two: give two --caption, or --num_noise=2")
    if kind in _BY_DATASET and (_CAPTION.value or not _DATASET.value):
        raise app.UsageError(f"--figure={kind} takes its captions from --dataset: give it, and no --caption")
    return kind, folders


if __name__ == "__main__":
    command_line.run(main)
