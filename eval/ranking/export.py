"""Writes the folder of a ranking: the files that Label Studio imports, and the key beside them."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tqdm
from absl import logging
from PIL import Image

from eval.geometry import common_geometry, identify_geometry
from eval.image_folder import CAPTIONS_FILE
from eval.ranking import design, label_studio
from eval.ranking.design import QUESTIONS, Key
from eval.ranking.ranked_models import SPLIT, CaptionDraw, RankedModel, find_model
from xmcgan.display import grid
from xmcgan.files import remove_temporary, write_text
from xmcgan.locks import locked

IMPORTABLE = "label_studio"  # The only folder that Label Studio may see.
_BATCH_SIZE = 16
# The modification time of every image (2000-01-01), so that the order of writing reveals nothing.
_TIME = 946_684_800
# The largest upload that Label Studio accepts by default.
_LARGEST_UPLOAD = 250 * 2**20


def export(
    output: pathlib.Path,
    models: Mapping[str, str],
    draw: CaptionDraw,
    *,
    checkpoint: str = "latest",
    image_size: int = 256,
    geometry: str | None = None,
    raters: int = 5,
    embed: bool = False,
) -> Key:
    """Exports a ranking to `output`, or resumes an interrupted export.

    Args:
      output: folder to write to. Label Studio imports its folder `label_studio`; `key.json` undoes the anonymity, and
        `captions.tsv` lists the captions, for use with models from elsewhere.
      models: maps names to the places of the images, see `find_model`.
      draw: the captions.
      checkpoint: checkpoint of training runs, see `checkpoints.find`.
      image_size: side length of all images in pixels, whatever size a model draws; different sizes would reveal models.
      geometry: how images of the dataset and of folders become square, see `images.square_image`; None for that of the
        trained models.
      raters: number of raters of each page.
      embed: whether to embed the images in the tasks, instead of paths to files.

    Returns:
      The key.

    Raises:
      FileNotFoundError: the images of a model do not exist.
      ValueError: a model has no images for some captions, trained models have different geometries, or `output`
        contains another ranking.
    """
    names = [f"{row:06d}.png" for row in range(len(draw.captions))]
    lines = [f"{name}\t{caption}\n" for name, caption in zip(names, draw.captions)]
    # Written first, so that users can look up the captions even if a folder of images is refused below.
    if not design.key_path(output).exists():
        output.mkdir(parents=True, exist_ok=True)
        write_text(output / CAPTIONS_FILE, "".join(lines))
    with contextlib.ExitStack() as stack:
        found = {name: find_model(where, checkpoint, draw, image_size, stack) for name, where in models.items()}
        chosen = geometry or common_geometry({name: model.geometry for name, model in found.items()})
        settings = {
            "dataset": draw.dataset,
            "split": SPLIT,
            "seed": draw.seed,
            "image_size": image_size,
            **identify_geometry(chosen),
            "models": {name: model.identity for name, model in found.items()},
        }
        stack.enter_context(locked(output))
        claimed = design.claim_key(output, settings, draw.captions)
        importable = output / IMPORTABLE
        remove_temporary(importable / label_studio.IMAGES)  # Left by an export that was killed.
        for name, model in found.items():
            _write_images(importable / label_studio.IMAGES, name, model, claimed, image_size, chosen)
        _write_tasks(importable, claimed, raters, embed)
    return claimed


def _write_images(
    folder: pathlib.Path, name: str, model: RankedModel, claimed: Key, image_size: int, geometry: str
) -> None:
    """Writes the images of a model that do not exist yet."""
    paths = [folder / design.image_name(claimed.secret, row, name) for row in range(len(claimed.captions))]
    left = [row for row, path in enumerate(paths) if not path.exists()]
    bar = tqdm.tqdm(desc=name, total=len(paths), initial=len(paths) - len(left), unit="image", disable=None)
    with bar:
        for row, image in _images(model, left, geometry):
            # Only the pixels are written: no metadata of the original file is kept.
            grid.save_png(paths[row], _resized(image, image_size))
            bar.update()
    for path in paths:
        os.utime(path, (_TIME, _TIME))


def _images(model: RankedModel, rows: Sequence[int], geometry: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the images of ascending rows, each uint8 [height, width, 3] of any size; loads the model if needed."""
    if not rows:
        return
    source, wanted = model.load(geometry), set(rows)
    draw = tf.function(source.images, autograph=False, reduce_retracing=True)
    batches = source.batches(rows[0], _BATCH_SIZE)
    images = itertools.chain.from_iterable(draw(batch).numpy() for batch in batches)
    for row, image in zip(range(rows[0], rows[-1] + 1), images):
        if row in wanted:
            yield row, image


def _write_tasks(importable: pathlib.Path, claimed: Key, raters: int, embed: bool) -> None:
    for question in QUESTIONS:
        tasks = []
        for page in claimed.comparisons:
            if page.question != question.name:
                continue
            urls = {}
            for model in page.models:
                name = design.image_name(claimed.secret, page.row, model)
                path = importable / label_studio.IMAGES / name
                urls[model] = _data_uri(path) if embed else label_studio.local_file(name)
            tasks.append(label_studio.task(page, question, claimed.captions[page.row], urls))
        folder = importable / question.name
        content = label_studio.to_json(tasks)
        if len(content) > _LARGEST_UPLOAD:
            logging.warning(
                "%s/tasks.json has %d MB, but Label Studio accepts %d MB: set its DATA_UPLOAD_MAX_MEMORY_SIZE (bytes), "
                "or leave out --embed",
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
    """Resizes width and height of an image to `size` px each."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def _data_uri(path: pathlib.Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
