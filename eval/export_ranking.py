"""Exports a ranking of the images of 2 to 4 models by people (paper section 6.1, Fig. 7), for Label Studio.

  python -m eval.export_ranking --dataset=coco2014 --model=ours=runs/coco2014 --model=real=dataset --output=ranking
  python -m eval.export_ranking --dataset=coco2014 --model=ours=runs/a --model=theirs=images_of_b --output=ranking

A model is one of

  NAME=WORKDIR   a training run, whose averaged generator draws the images
  NAME=EXPORT    an export of xmcgan.export
  NAME=FOLDER    images from anywhere, with a captions.tsv of lines file<TAB>caption
  NAME=dataset   the real images

The captions are drawn from the validation split with --seed. <output>/captions.tsv lists them, for use with models from
elsewhere.

<output>/label_studio is the folder to import; its README.txt lists the steps. It contains no model names. The images
all have the same size, and are shown in a random order in which every model takes every place equally often.
<output>/key.json maps the images back to the models: keep it from the raters; eval.analyse_ranking needs it. An
interrupted export resumes when the same command is run again.
"""

from __future__ import annotations

import pathlib

from absl import app, flags

from data_pipelines import datasets
from xmcgan import command_line, path_flags
from xmcgan.config import GEOMETRIES

_DATASET = command_line.define_dataset(datasets)
_DATA_DIR = command_line.define_data_dir()
_MODEL = flags.DEFINE_multi_string("model", [], "A model to rank, as NAME=WHERE; see above.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Checkpoint of training runs: 'latest', 'best' (by FID, see eval.evaluate) or a step."
)
_NUM_CAPTIONS = flags.DEFINE_integer(
    "num_captions", 1000, "Number of captions; each question has a page for each.", lower_bound=1, upper_bound=100_000
)
_SEED = command_line.define_seed("Seed of the captions and of the noise vectors.")
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", 256, "Side length of all images shown, in pixels.", lower_bound=1, upper_bound=4096
)
_GEOMETRY = flags.DEFINE_enum(
    "geometry",
    None,
    GEOMETRIES,
    "How images of the dataset and of folders become square. [as --config.data.geometry of the trained models]",
)
_RATERS = flags.DEFINE_integer("raters", 5, "Number of people who answer each page.", lower_bound=1)
_EMBED = flags.DEFINE_bool("embed", False, "Embed the images in the tasks: larger tasks, but no files to serve.")
_OUTPUT = path_flags.define_path("output", "ranking", "Folder to write to.")


def main(argv: list[str]) -> None:
    """Exports a ranking."""
    del argv
    from eval.ranking import export, ranked_models

    try:
        models = ranked_models.parse_models(_MODEL.value)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    output = pathlib.Path(_OUTPUT.value)
    draw = ranked_models.draw_captions(_DATASET.value, _DATA_DIR.value, _NUM_CAPTIONS.value, _SEED.value)
    key = export.export(
        output,
        models,
        draw,
        checkpoint=_CHECKPOINT.value,
        image_size=_IMAGE_SIZE.value,
        geometry=_GEOMETRY.value,
        raters=_RATERS.value,
        embed=_EMBED.value,
    )
    importable = output / export.IMPORTABLE
    print(f"{len(key.captions)} captions, {len(models)} images each, {_RATERS.value} raters a page and question")
    print(f"import {importable} as its README.txt says; keep {output / 'key.json'} from the raters")


if __name__ == "__main__":
    command_line.run(main)
