"""Captions and models -> the folder of a ranking: what Label Studio imports, and beside it the key."""

from __future__ import annotations

import base64
import os
import pathlib
from collections.abc import Mapping

import numpy as np
import tqdm
from absl import logging
from PIL import Image

from data_pipelines import input_pipeline
from eval.image_folder import CAPTIONS_FILE
from eval.ranking import design, label_studio
from eval.ranking.design import QUESTIONS, Key
from eval.ranking.sources import CaptionDraw, ImageSource, one_line, open_source
from xmcgan.display import grid
from xmcgan.files import remove_temporary, write_text

IMPORTABLE = "label_studio"  # The only folder that raters' software is to see.
# Of every image, so that the order of writing tells nothing: 2000-01-01.
_TIME = 946_684_800
# The largest upload that Label Studio takes as it comes.
_LARGEST_UPLOAD = 250 * 2**20


def draw_captions(dataset: str, data_dir: str, num_captions: int, seed: int) -> CaptionDraw:
    """Captions of the validation split, by lot; the same whatever the models.

    Raises:
      FileNotFoundError: the dataset has not been converted; the message tells the command.
      ValueError: `num_captions` or `seed` is too small.
    """
    drawn = input_pipeline.evaluation_captions(dataset, "validation", data_dir, num_captions=num_captions, seed=seed)
    return CaptionDraw(dataset, data_dir, [one_line(caption) for caption in drawn.captions], seed)


def export(
    output: pathlib.Path,
    models: Mapping[str, str],
    draw: CaptionDraw,
    *,
    checkpoint: str = "latest",
    image_size: int = 256,
    raters: int = 5,
    embed: bool = False,
) -> Key:
    """Writes a ranking into `output`, or goes on with one that was stopped.

    Args:
      output: folder to write to. `label_studio/` in it is what Label Studio imports; `key.json` undoes the anonymity,
        and `captions.tsv` lists what models from elsewhere have to draw.
      models: name -> where its images are, see `open_source`.
      draw: the captions.
      checkpoint: of training runs, see `checkpoints.find`.
      image_size: pixels a side of all images, whatever the models draw: the size would betray them.
      raters: rankings to be asked for each page.
      embed: whether the tasks hold the images themselves, in the place of paths to files.

    Returns:
      The key.

    Raises:
      FileNotFoundError: the images of a model are not there.
      ValueError: a model lacks images of some captions, or `output` holds another ranking.
    """
    names = [f"{row:06d}.png" for row in range(len(draw.captions))]
    lines = [f"{name}\t{caption}\n" for name, caption in zip(names, draw.captions)]
    # What a folder of images lacks can be looked up even if it is refused now.
    if not design.key_path(output).exists():
        output.mkdir(parents=True, exist_ok=True)
        write_text(output / CAPTIONS_FILE, "".join(lines))
    sources = {name: open_source(where, checkpoint, draw, image_size) for name, where in models.items()}
    settings = {
        "dataset": draw.dataset,
        "split": "validation",
        "seed": draw.seed,
        "image_size": image_size,
        "models": {name: source.identity for name, source in sources.items()},
    }
    claimed = design.claim_key(output, settings, draw.captions)
    importable = output / IMPORTABLE
    remove_temporary(importable / label_studio.PICTURES)  # Of an export that was killed.
    for model, source in sources.items():
        _write_images(importable / label_studio.PICTURES, model, source, claimed, image_size)
    _write_tasks(importable, claimed, raters, embed)
    return claimed


def _write_images(folder: pathlib.Path, model: str, source: ImageSource, claimed: Key, image_size: int) -> None:
    """Writes those images of a model that are not there yet."""
    paths = [folder / design.image_name(claimed.secret, row, model) for row in range(len(claimed.captions))]
    left = [row for row, path in enumerate(paths) if not path.exists()]
    done = len(paths) - len(left)
    bar = tqdm.tqdm(source.pictures(left), desc=model, total=len(paths), initial=done, unit="picture", disable=None)
    for row, image in bar:
        grid.save_png(paths[row], _resized(image, image_size))  # From the pixels alone: nothing else of a file is kept.
    for path in paths:
        os.utime(path, (_TIME, _TIME))


def _write_tasks(importable: pathlib.Path, claimed: Key, raters: int, embed: bool) -> None:
    for question in QUESTIONS:
        tasks = []
        for page in claimed.comparisons:
            if page.question != question.name:
                continue
            urls = {}
            for model in page.models:
                name = design.image_name(claimed.secret, page.row, model)
                path = importable / label_studio.PICTURES / name
                urls[model] = _data_uri(path) if embed else label_studio.local_file(name)
            tasks.append(label_studio.task(page, question, claimed.captions[page.row], urls))
        folder = importable / question.name
        content = label_studio.to_json(tasks)
        if len(content) > _LARGEST_UPLOAD:
            logging.warning(
                "%s/tasks.json has %d MB, and Label Studio takes %d MB: set its DATA_UPLOAD_MAX_MEMORY_SIZE (bytes), "
                "or leave --embed away",
                folder,
                len(content) >> 20,
                _LARGEST_UPLOAD >> 20,
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "tasks.json", content)
        write_text(folder / "interface.xml", label_studio.interface(question))
        write_text(folder / "project.json", label_studio.to_json(label_studio.project(question, raters)))
    num_pages = len(claimed.captions)
    write_text(importable / "README.txt", label_studio.readme(num_pages, len(claimed.models), raters, embed))


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    """An image as a square of `size` px, without crop."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def _data_uri(path: pathlib.Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
