"""Finds the images to rank: those of several models for the same captions."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

from data_pipelines import image_files, input_pipeline
from eval import image_folder
from eval.image_folder import CAPTIONS_FILE
from eval.ranking.design import SLOTS
from eval.sources import DatasetImages, FolderImages, GeneratedImages, Source
from xmcgan import escapes
from xmcgan.home_folder import expand_home
from xmcgan.text_to_image import TextToImage, is_run
from xmcgan.training import checkpoints
from xmcgan.training.workdir import read_config

DATASET = "dataset"  # Given instead of a folder, it means the real images of the captions.
SPLIT = "validation"


class CaptionDraw(NamedTuple):
    """The captions of a ranking, and how they were drawn: the arguments of `input_pipeline.evaluation_captions`."""

    dataset: str
    data_dir: str
    captions: list[str]
    seed: int


class RankedModel(NamedTuple):
    """A model whose images are ranked."""

    identity: dict[str, Any]  # JSON values; equal identities mean equal images.
    load: Callable[[str], Source]  # Returns its images, in the order of the captions, for a geometry of other images.
    geometry: str | None = None  # In which a trained model draws, see `images.square_image`.


def draw_captions(dataset: str, data_dir: str, num_captions: int, seed: int) -> CaptionDraw:
    """Draws captions from the validation split at random, independently of the models.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message names the command to do so.
      ValueError: `num_captions` or `seed` is too small.
    """
    drawn = input_pipeline.evaluation_captions(dataset, SPLIT, data_dir, num_captions=num_captions, seed=seed)
    return CaptionDraw(dataset, data_dir, [_one_line(caption) for caption in drawn.captions], seed)


def parse_models(arguments: Sequence[str]) -> dict[str, str]:
    """Parses the `--model` flags, each `NAME=WHERE`, into a dict from names to places.

    Raises:
      ValueError: a flag has another form, a name appears twice, or there are too few or too many models.
    """
    models: dict[str, str] = {}
    for argument in arguments:
        name, _, where = argument.partition("=")
        if not re.fullmatch(r"\S(.*\S)?", name) or not where:
            raise ValueError(
                f"--model={argument}: write --model=NAME=WORKDIR, NAME=EXPORT, NAME=FOLDER or NAME={DATASET}"
            )
        if name in models:
            raise ValueError(f"--model={argument}: there is already a model '{name}', choose another name")
        models[name] = expand_home(where)
    if not 2 <= len(models) <= len(SLOTS):
        raise ValueError(f"{len(models)} models cannot be ranked: give --model=NAME=WHERE 2 to {len(SLOTS)} times")
    return models


def find_model(
    where: str, checkpoint: str, draw: CaptionDraw, image_size: int, holds: contextlib.ExitStack | None = None
) -> RankedModel:
    """Finds the images of a model.

    Args:
      where: folder of a training run, of an export, or of images; or DATASET.
      checkpoint: checkpoint of a training run, see `checkpoints.find`.
      draw: the captions.
      image_size: side length of the dataset's images in pixels.
      holds: keeps the checkpoint of a run until it is closed, in case that run goes on.

    Raises:
      FileNotFoundError, ValueError: there are no images, or some captions have none.
    """
    if where == DATASET:
        return RankedModel({DATASET: draw.dataset}, lambda geometry: _dataset_images(draw, image_size, geometry))
    if is_run(where):
        return _find_run(where, checkpoint, draw, holds)
    if os.path.isfile(os.path.join(where, CAPTIONS_FILE)):
        return _find_folder(where, draw)
    try:
        return _find_export(where, draw)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{where} is neither the folder of a training run (no checkpoints) nor one of images (no {CAPTIONS_FILE} "
            "of lines file<TAB>caption) nor an export (no SavedModel)"
        ) from error


def _dataset_images(draw: CaptionDraw, image_size: int, geometry: str) -> Source:
    return DatasetImages(
        draw.dataset,
        SPLIT,
        draw.data_dir,
        image_size=image_size,
        geometry=geometry,
        num_captions=len(draw.captions),
        seed=draw.seed,
    )


def _find_run(workdir: str, checkpoint: str, draw: CaptionDraw, holds: contextlib.ExitStack | None) -> RankedModel:
    path = checkpoints.find(workdir, checkpoint)
    held = holds.enter_context(checkpoints.held(workdir, path)) if holds else path

    def load(geometry: str) -> Source:
        del geometry  # The model has its own.
        model = TextToImage.from_run(workdir, draw.data_dir)
        model.restore(held)  # The run may have written newer checkpoints, and removed this one.
        return _generated(model, draw)

    identity = {"run": workdir, "step": checkpoints.step_of(path), "seed": draw.seed}
    return RankedModel(identity, load, read_config(workdir).data.geometry)


def _find_export(path: str, draw: CaptionDraw) -> RankedModel:
    model = TextToImage.from_export(path)
    return RankedModel({**model.identity, "seed": draw.seed}, lambda _: _generated(model, draw), model.geometry)


def _generated(model: TextToImage, draw: CaptionDraw) -> Source:
    """Returns the images of a model, each drawn with the noise of seed + row."""
    return GeneratedImages(model, draw.captions, [draw.seed + row for row in range(len(draw.captions))])


def _find_folder(folder: str, draw: CaptionDraw) -> RankedModel:
    files = _files_of_captions(folder, draw.captions)
    rules = {"rules": image_files.RULES} if image_folder.check(files) else {}
    digest = hashlib.sha256()
    for file in files:
        digest.update(image_files.read_bytes(file))
    identity = {"folder": folder, "sha256": digest.hexdigest(), **rules}
    return RankedModel(identity, lambda geometry: FolderImages(files, geometry=geometry))


def _files_of_captions(folder: str, captions: Sequence[str]) -> list[str]:
    """Returns the file for each caption; a repeated caption uses its images in turn."""
    listed: dict[str, list[str]] = {}
    images = image_folder.read(folder, may_repeat=True)
    for file, caption in zip(images.files, images.captions.captions):
        listed.setdefault(_one_line(caption), []).append(file)
    missing = [caption for caption in captions if caption not in listed]
    if missing:
        raise ValueError(
            f"{folder} has no image of {len(missing)} of the {len(captions)} captions, such as "
            f"'{escapes.excerpt(missing[0])}': draw the captions of {CAPTIONS_FILE} in the ranking's folder, and copy "
            "that file to the images"
        )
    turns = {caption: itertools.cycle(paths) for caption, paths in listed.items()}
    return [next(turns[caption]) for caption in captions]


def _one_line(caption: str) -> str:
    """Replaces whitespace of any kind in a caption by single spaces, as in lists and pages."""
    return " ".join(caption.split())
