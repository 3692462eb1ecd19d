"""Where a model's images come from: a training run draws them, a folder holds them, or they are the real ones."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from PIL import Image, ImageOps

from data_pipelines import input_pipeline
from eval import image_folder
from eval.image_folder import CAPTIONS_FILE
from eval.ranking.design import SLOTS
from xmcgan.synthesis import Synthesizer, load_text_encoder
from xmcgan.training import checkpoints
from xmcgan.training.state import build_generator
from xmcgan.training.workdir import config_path, read_config

DATASET = "dataset"  # In the place of a folder: the real images.
_BATCH_SIZE = 16


class CaptionDraw(NamedTuple):
    """The captions of a ranking, and how they were drawn: the arguments of `input_pipeline.evaluation_captions`."""

    dataset: str
    data_dir: str
    captions: list[str]
    seed: int


class ImageSource(Protocol):
    """The images of one model."""

    identity: dict[str, Any]  # As JSON; images of equal identities are the same.

    def pictures(self, rows: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Yields the rows asked for, ascending, each with its image: uint8 [height, width, 3], of any size."""


class RunImages:
    """Drawn by the averaged generator of a training run, with the noise vector of seed + row."""

    def __init__(self, workdir: str, checkpoint: str, draw: CaptionDraw):
        self._config = read_config(workdir)
        self._path = checkpoints.find(workdir, checkpoint)
        self._draw = draw
        self.identity = {"run": workdir, "step": checkpoints.step_of(self._path), "seed": draw.seed}

    def pictures(self, rows: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See `ImageSource`."""
        if not rows:
            return
        generator = build_generator(self._config)
        checkpoints.restore_generator(self._path, generator)
        text_encoder = load_text_encoder(self._config, self._draw.data_dir)
        synthesize = Synthesizer(generator, text_encoder, self._config.generator.noise_dim, _BATCH_SIZE)
        for first in range(0, len(rows), _BATCH_SIZE):
            part = rows[first : first + _BATCH_SIZE]
            drawn = synthesize([self._draw.captions[row] for row in part], [self._draw.seed + row for row in part])
            yield from zip(part, drawn)


class FolderImages:
    """Read from a folder with a table of their captions (see `image_folder.read`); anyone's."""

    def __init__(self, folder: str, captions: Sequence[str]):
        """Raises ValueError or FileNotFoundError: the table is wrong, or images of some captions are missing."""
        listed: dict[str, list[str]] = {}
        files, table = image_folder.read(folder)
        for file, caption in zip(files, table.captions):
            listed.setdefault(one_line(caption), []).append(file)
        missing = [caption for caption in captions if caption not in listed]
        if missing:
            raise ValueError(
                f"{folder} has no picture of {len(missing)} of the {len(captions)} captions, such as '{missing[0]}': "
                f"draw those of {CAPTIONS_FILE} in the ranking's folder, and copy that file to the pictures"
            )
        turns = {caption: itertools.cycle(paths) for caption, paths in listed.items()}
        self._files = [next(turns[caption]) for caption in captions]  # One that comes again takes its next image.
        digest = hashlib.sha256()
        for file in self._files:
            with open(file, "rb") as content:
                digest.update(content.read())
        self.identity = {"folder": folder, "sha256": digest.hexdigest()}

    def pictures(self, rows: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See `ImageSource`."""
        for row in rows:
            yield row, _read_image(self._files[row])


class RealImages:
    """The images that the captions were written for."""

    def __init__(self, draw: CaptionDraw, image_size: int):
        self._draw, self._image_size = draw, image_size
        self.identity = {DATASET: draw.dataset}

    def pictures(self, rows: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
        """See `ImageSource`."""
        if not rows:
            return
        wanted, row = set(rows), rows[0]
        batches = input_pipeline.evaluation_batches(
            self._draw.dataset,
            "validation",
            self._draw.data_dir,
            batch_size=_BATCH_SIZE,
            image_size=self._image_size,
            num_captions=len(self._draw.captions),
            seed=self._draw.seed,
            first=row,
        )
        for batch in batches:
            for image in batch.image.numpy():
                if row in wanted:
                    yield row, image
                row += 1


def parse_models(arguments: Sequence[str]) -> dict[str, str]:
    """The `--model` flags, `NAME=WHERE` each, as a mapping from names to places.

    Raises:
      ValueError: one is not of this form, a name comes twice, or there are too few or too many.
    """
    models: dict[str, str] = {}
    for argument in arguments:
        name, _, where = argument.partition("=")
        if not re.fullmatch(r"\S(.*\S)?", name) or not where:
            raise ValueError(f"--model={argument}: write --model=NAME=WORKDIR, NAME=FOLDER or NAME={DATASET}")
        if name in models:
            raise ValueError(f"--model={argument}: there is a model '{name}' already, give another name")
        models[name] = where
    if not 2 <= len(models) <= len(SLOTS):
        raise ValueError(f"{len(models)} models cannot be ranked: give --model=NAME=WHERE 2 to {len(SLOTS)} times")
    return models


def open_source(where: str, checkpoint: str, draw: CaptionDraw, image_size: int) -> ImageSource:
    """The source of a model's images.

    Args:
      where: folder of a training run, folder of images, or DATASET.
      checkpoint: of a training run, see `checkpoints.find`.
      draw: the captions.
      image_size: pixels a side that real images are read at.

    Raises:
      FileNotFoundError, ValueError: there are no such images, or not of all captions.
    """
    if where == DATASET:
        return RealImages(draw, image_size)
    if os.path.isfile(config_path(where)):
        return RunImages(where, checkpoint, draw)
    if os.path.isfile(os.path.join(where, CAPTIONS_FILE)):
        return FolderImages(where, draw.captions)
    raise FileNotFoundError(
        f"{where} is neither the folder of a training run (no config.json) nor one of pictures (no {CAPTIONS_FILE} of "
        "lines file<TAB>caption)"
    )


def one_line(caption: str) -> str:
    """A caption as lists and pages hold it: white space of any kind as single spaces."""
    return " ".join(caption.split())


def _read_image(path: str) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} is not a picture that can be read ({error}): write it again") from error
