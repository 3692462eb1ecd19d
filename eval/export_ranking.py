"""Writes what raters need to rank the images of 2 to 4 models (paper section 6.1, Fig. 7), for Label Studio.

  python -m eval.export_ranking --dataset=coco2014 --model=ours=runs/coco2014 --model=real=dataset --output=ranking
  python -m eval.export_ranking --dataset=coco2014 --model=ours=runs/a --model=theirs=images_of_b --output=ranking

A model is one of

  NAME=WORKDIR   a training run, whose averaged generator draws the images
  NAME=EXPORT    what xmcgan.export wrote
  NAME=FOLDER    images from anywhere, with a captions.tsv of lines file<TAB>caption
  NAME=dataset   the real images

The captions are drawn from the validation split by --seed, and are listed in <output>/captions.tsv for models from
elsewhere to draw.

<output>/label_studio is the folder to import; its README.txt tells the steps. It holds no name of a model, and in an
random order, balanced over the places, every image at the same size. <output>/key.json undoes that: it stays
with you, and eval.analyse_ranking needs it. A command that was stopped goes on where it was.
"""

from __future__ import annotations

import pathlib

from absl import app, flags

from data_pipelines import datasets
from xmcgan import command_line

_DATASET = command_line.define_dataset(datasets)
_DATA_DIR = command_line.define_data_dir()
_MODEL = flags.DEFINE_multi_string("model", [], "A model to rank, NAME=WHERE: see above.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Which one training runs draw with: 'latest', 'best' (by FID, see eval.evaluate) or a step."
)
_NUM_CAPTIONS = flags.DEFINE_integer("num_captions", 1000, "Captions, each a page of each question.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the list of captions and of the noise vectors.", lower_bound=0)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 256, "Pixels a side of all images shown.", lower_bound=1)
_RATERS = flags.DEFINE_integer("raters", 5, "People who answer each page.", lower_bound=1)
_EMBED = flags.DEFINE_bool("embed", False, "Put the images into the tasks: larger, and no files to serve.")
_OUTPUT = flags.DEFINE_string("output", "ranking", "Folder to write to.")


def main(argv: list[str]) -> None:
    """Writes a ranking."""
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
        raters=_RATERS.value,
        embed=_EMBED.value,
    )
    importable = output / export.IMPORTABLE
    print(f"{len(key.captions)} captions, {len(models)} images each, {_RATERS.value} raters a page and question")
    print(f"import {importable}: its README.txt tells how; keep {output / 'key.json'} to yourself")


if __name__ == "__main__":
    command_line.run(main)
