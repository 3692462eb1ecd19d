"""Trains an image-text dual encoder for R-precision, independent of the generator's text encoder.

  python -m eval.train_dual_encoder --output=data/cc --pictures=cc3m
  python -m eval.train_dual_encoder --output=data/cc --pictures=FOLDER --captions=pairs.tsv
  python -m eval.train_dual_encoder --output=data/cc --pictures=cc3m --image_tower=efficientnetb4 --image_size=224 ...
  python -m eval.train_dual_encoder --output=data/coco_encoder --dataset=coco2014

Trains on Conceptual Captions, or on any images with captions: --pictures is a folder that
`img2dataset --output_format files` filled, or any folder of JPEG files with a table of lines `caption<TAB>file`
(--captions). Alternatively, trains on the training split of a converted dataset (--dataset). The dataset's name is then
part of the scores' names, because such scores are too good for a generator trained on the same images. Missing and
corrupt images are left out.

Checkpoints and curves go to --workdir, by default <output>.training. An interrupted training resumes from there when
the same command is run again. Pass the SavedModel in --output to `python -m eval.evaluate --dual_encoder=...`;
eval/retrieval/dual_encoder.py explains how to wrap another model.
"""

from __future__ import annotations

import os
import shlex
import typing

from absl import app, flags

from data_pipelines import datasets
from xmcgan import command_line, path_flags
from xmcgan.config import GEOMETRIES, LARGEST_BATCH

if typing.TYPE_CHECKING:
    from eval.retrieval.caption_pairs import CaptionPairs

_OUTPUT = path_flags.define_path("output", None, "Folder to write the SavedModel to.")
_DATASET = command_line.define_dataset(datasets, "A converted dataset to train on.", optional=True)
_DATA_DIR = command_line.define_data_dir()
_IMAGES = path_flags.define_path("pictures", None, "Folder of images to train on.")
_CAPTIONS = path_flags.define_path(
    "captions",
    None,
    "Table of lines `caption<TAB>file`, with files relative to --pictures. [a .txt file beside each image]",
)
_NAME = flags.DEFINE_string("name", None, "Name of the dual encoder in results. [CC, or the dataset]")
_WORKDIR = command_line.define_workdir("Folder for checkpoints and curves. [<output>.training]", optional=True)
_IMAGE_TOWER = flags.DEFINE_enum(
    "image_tower",
    "small",
    ("small", "resnet50", "efficientnetb4"),
    "Image network; the published ones need --image_size=224 or more, and --image_weights.",
)
_IMAGE_WEIGHTS = path_flags.define_path(
    "image_weights",
    "none",
    "For a published --image_tower: 'imagenet', or a Keras weights file without classifier.",
    remote=True,
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Images are resized to this side length, in pixels.")
_GEOMETRY = flags.DEFINE_enum(
    "geometry", "squash", GEOMETRIES, "How images become square: as --config.data.geometry of the runs to evaluate."
)
_TEXT_TOWER = flags.DEFINE_enum(
    "text_tower",
    "scratch",
    ("scratch", "bert"),
    "Caption network: a small one trained from scratch, or a published BERT.",
)
_TEXT_PREPROCESSOR = path_flags.define_path(
    "text_preprocessor", "", "For --text_tower=bert: TF-Hub handle or folder.", remote=True
)
_TEXT_ENCODER = path_flags.define_path(
    "text_encoder", "", "For --text_tower=bert: TF-Hub handle or folder.", remote=True
)
_TRAIN_TEXT_ENCODER = flags.DEFINE_bool("train_text_encoder", False, "Fine-tune the BERT; otherwise it is frozen.")
_TEXT_LENGTH = flags.DEFINE_integer("text_length", 32, "Captions are cut to this many tokens, with [CLS] and [SEP].")
_DIM = flags.DEFINE_integer("dim", 128, "Dimension of the embeddings.", lower_bound=1, upper_bound=65_536)
_SEED = command_line.define_seed("Seed of the initial weights and of the order of the batches.")
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 256, "Pairs in a batch, over all replicas.", lower_bound=2, upper_bound=LARGEST_BATCH
)
_STEPS = flags.DEFINE_integer("steps", 20_000, "Number of updates.", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Peak learning rate; 1e-4 suits published towers.")
_CHECKPOINT_EVERY = flags.DEFINE_integer("checkpoint_every", 1000, "Steps between checkpoints.", lower_bound=1)
_EVALUATE_EVERY = flags.DEFINE_integer(
    "evaluate_every", 1000, "Steps between evaluations on held-out pairs.", lower_bound=1
)


def main(argv: list[str]) -> None:
    """Trains a dual encoder."""
    del argv
    if not _OUTPUT.value:
        raise app.UsageError("--output is missing: name a folder for the SavedModel")
    if bool(_DATASET.value) == bool(_IMAGES.value):
        raise app.UsageError("name what to train on with either --pictures or --dataset")
    if _CAPTIONS.value and not _IMAGES.value:
        raise app.UsageError("--captions belongs to --pictures")

    from eval.retrieval import dual_encoder, dual_encoder_training
    from eval.retrieval.towers import TowerOptions, check_options

    output = _OUTPUT.value.rstrip(os.sep)
    trains = not dual_encoder.is_saved(output)
    if trains:
        workdir = _WORKDIR.value or f"{output}.training"
        towers = TowerOptions._make(flags.FLAGS[name].value for name in TowerOptions._fields)
        check_options(towers)  # Before every image is decoded once.
        options = dual_encoder_training.TrainingOptions(
            towers, batch_size=_BATCH_SIZE.value, steps=_STEPS.value, learning_rate=_LEARNING_RATE.value
        )
        every = {"checkpoint_every": _CHECKPOINT_EVERY.value, "evaluate_every": _EVALUATE_EVERY.value}
        report = dual_encoder_training.train(options, _pairs(workdir), workdir, output, **every)
    else:
        report = dual_encoder.read_report(output)
    if not {"held_out", "name"} <= set(report):
        raise ValueError(f"{output} has a dual encoder that was not trained here: name another --output")
    held_out = report["held_out"]
    print(
        f"{'trained' if trains else 'nothing to do, already trained'}: {held_out['r_precision']:.1%} of "
        f"{held_out['pairs']} held-out images find their caption among {held_out['mismatches'] + 1}"
    )
    print(f"dual encoder '{report['name']}' in {output}: evaluate with {shlex.quote(f'--dual_encoder={output}')}")


def _pairs(workdir: str) -> CaptionPairs:
    """Returns the pairs that the flags name."""
    from data_pipelines import prepare
    from eval.retrieval import conceptual_captions
    from eval.retrieval.caption_pairs import ConvertedPairs

    pairs: CaptionPairs
    if _DATASET.value:
        if datasets.is_drawn(_DATASET.value):
            prepare.prepare_scenes(_DATA_DIR.value)
        pairs = ConvertedPairs(_DATASET.value, _DATA_DIR.value, _GEOMETRY.value)
    else:
        images = _IMAGES.value or ""
        read = conceptual_captions.read_pairs(images, _CAPTIONS.value)
        fit = conceptual_captions.fit_pairs(images, read, os.path.join(workdir, "unfit_pictures.json"))
        pairs = conceptual_captions.ConceptualCaptions(images, fit, geometry=_GEOMETRY.value)
    pairs.name = _NAME.value or pairs.name
    return pairs


if __name__ == "__main__":
    command_line.run(main)
