"""Draws images from captions with a trained XMC-GAN.

  python -m xmcgan.sample --caption="a red heart on the snow"
  python -m xmcgan.sample --workdir=runs/demo --caption="a red ball on the beach"
  python -m xmcgan.sample --workdir=runs/demo --captions=captions.txt --num_noise=8 --output=images
  python -m xmcgan.sample --workdir=runs/demo --held_out=16
  python -m xmcgan.sample --export=exports/demo --caption="a red ball on the beach" --output=images

Without --workdir, --pretrained or --export, the model that comes with the package draws: scenes of simple objects.
Writes each image as a PNG file, and a labeled grid, grid.png (a row for each caption, a column for each noise vector).
Many captions get several grids, grid.png, grid_002.png and so on. The same captions, seed and checkpoint give the same
images.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from absl import app, flags

from xmcgan import command_line, model_flags, path_flags, text_files
from xmcgan.files import check_writable

if TYPE_CHECKING:  # TensorFlow is imported only in `main`, so that --help is quick.
    import numpy as np

    from xmcgan.config import Config
    from xmcgan.text_to_image import TextToImage

_WORKDIR = command_line.define_workdir(optional=True)
model_flags.define_pretrained()
_EXPORT = path_flags.define_path("export", None, "Folder of an exported model, instead of a run.")
_DATA_DIR = command_line.define_data_dir()
_CAPTION = flags.DEFINE_multi_string("caption", [], "A caption to draw; may be given several times.")
_CAPTIONS = path_flags.define_path("captions", None, "A text file of captions to draw, one per line.")
_HELD_OUT = flags.DEFINE_integer(
    "held_out",
    0,
    "Draw this many captions of the validation split, beside the real images.",
    lower_bound=0,
    upper_bound=100_000,
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Which checkpoint of a run to use: 'latest', 'best' (by FID, see eval.evaluate) or a step."
)
_NUM_NOISE = flags.DEFINE_integer(
    "num_noise", 4, "Images per caption, one for each noise vector.", lower_bound=1, upper_bound=1000
)
_SEED = command_line.define_seed("Seed of the noise vectors and of the choice of held-out captions.")
_OUTPUT = path_flags.define_path(
    "output", None, "Folder for the images. Default: <workdir>/pictures, or ./pictures without a run."
)


def main(argv: list[str]) -> None:
    """Draws the captions that the flags name, and writes the images."""
    del argv
    run = model_flags.get_run()
    captions = read_captions(_CAPTION.value, _CAPTIONS.value)
    if bool(captions) == bool(_HELD_OUT.value):
        raise app.UsageError("give the captions: either --caption and --captions, or --held_out")

    output = _OUTPUT.value or os.path.join(_WORKDIR.value or "", "pictures")
    check_writable(output)  # Before images are drawn.

    from xmcgan.display import grid
    from xmcgan.models.text_encoder import check_captions
    from xmcgan.text_to_image import TextToImage

    if captions:
        check_captions(captions)
    if run is None:
        model = TextToImage.from_export(_EXPORT.value)
    else:
        model = TextToImage.from_run(run, _DATA_DIR.value, _CHECKPOINT.value)
    seeds = [_SEED.value + i for i in range(_NUM_NOISE.value)]
    page_rows = grid.rows_of_page(len(seeds), model.image_size)
    if captions:
        pages: Iterable[Page] = (
            Page(captions[first : first + page_rows]) for first in range(0, len(captions), page_rows)
        )
    else:
        pages = held_out(model.config, page_rows)

    num_captions = 0
    grids: list[str] = []
    for page in pages:
        grids.append(os.path.join(output, f"grid_{len(grids) + 1:03d}.png" if grids else "grid.png"))
        draw_page(model, page, seeds, num_captions, grids[-1])
        num_captions += len(page.captions)
    where = f"the grid is {grids[0]}" if len(grids) == 1 else f"{len(grids)} grids are {grids[0]} to {grids[-1]}"
    drawn = f"{_counted(num_captions * len(seeds), 'image')} of {_counted(num_captions, 'caption')}"
    print(f"{model.name}: {drawn} in {output}; {where}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Page(NamedTuple):
    """The captions of a grid."""

    captions: list[str]
    real: np.ndarray | None = None  # Their real images, if known: uint8 [captions, size, size, 3].


def draw_page(model: TextToImage, page: Page, seeds: list[int], first: int, grid_path: str) -> None:
    """Draws images of captions, and writes the images and their grid.

    Args:
      model: draws the images.
      page: the captions.
      seeds: seed of the noise vector of each column.
      first: number of the first caption, for the names of the files.
      grid_path: file of the grid; the images are written beside it.
    """
    import numpy as np

    from xmcgan.display import grid

    warn(model, page.captions)
    drawn = model([caption for caption in page.captions for _ in seeds], seeds * len(page.captions))
    images = drawn.reshape(len(page.captions), len(seeds), *drawn.shape[1:])
    for row, images_of_caption in enumerate(images, start=first):
        for seed, image in zip(seeds, images_of_caption):
            name = f"caption_{row:04d}_seed_{seed}.png"
            grid.save_png(os.path.join(os.path.dirname(grid_path), name), image)
    columns = [f"z {seed}" for seed in seeds]
    if page.real is not None:
        images, columns = np.concatenate([page.real[:, None], images], axis=1), ["real", *columns]
    grid.save_png(grid_path, grid.image_grid(images, page.captions, columns))


def read_captions(given: list[str], path: str | None) -> list[str]:
    """Returns the captions given on the command line, then those of a text file, without blank lines.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file has no captions, is not UTF-8 text, or is too large.
    """
    captions = list(given)
    if path:
        lines = [line.strip() for _, line in text_files.read_lines(path) if line.strip()]
        if not lines:
            raise ValueError(f"{path} has no captions: write one per line")
        captions += lines
    return captions


def held_out(config: Config | None, page_rows: int) -> Iterator[Page]:
    """Reads captions of the validation split, and their real images.

    Args:
      config: of the run; None if there is none.
      page_rows: captions of a page.

    Yields:
      The captions, page by page.

    Raises:
      ValueError: there is no config that names the dataset.
    """
    from data_pipelines import input_pipeline

    if config is None:
        raise ValueError(f"{_EXPORT.value} has no config.json that names its dataset: give --caption or --captions")
    batches = input_pipeline.evaluation_batches(
        config.dataset,
        "validation",
        _DATA_DIR.value,
        batch_size=page_rows,
        image_size=config.data.image_size,
        geometry=config.data.geometry,
        num_captions=_HELD_OUT.value,
        seed=_SEED.value,
    )
    for batch in batches:
        captions = [caption.decode("utf-8", "replace") for caption in batch.caption.numpy()]
        yield Page(captions, batch.image.numpy())


def warn(model: TextToImage, captions: Sequence[str]) -> None:
    """Warns of captions that the model does not read whole, and of words that it does not know."""
    from absl import logging

    for caption, tokens in zip(captions, model.tokens(captions)):
        for notice in tokens.notices():
            logging.warning("%.60s: %s", " ".join(caption.split()), notice)


if __name__ == "__main__":
    command_line.run(main)
