"""Draws images from captions with a trained XMC-GAN.

  python -m xmcgan.sample --workdir=runs/demo --caption="a red ball on the beach"
  python -m xmcgan.sample --workdir=runs/demo --captions=captions.txt --num_noise=8 --output=images
  python -m xmcgan.sample --workdir=runs/demo --held_out=16
  python -m xmcgan.sample --export=exports/demo --caption="a red ball on the beach" --output=images

Writes a labeled grid, grid.png (a row for each caption, a column for each noise vector), and each image as a PNG file.
The same captions, seed and checkpoint give the same images.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import app, flags

from xmcgan import command_line

if TYPE_CHECKING:  # TensorFlow is imported only in `main`, so that --help is quick.
    import numpy as np

    from xmcgan.config import Config
    from xmcgan.text_to_image import TextToImage

_WORKDIR = command_line.define_workdir(optional=True)
_EXPORT = flags.DEFINE_string("export", None, "Folder of an exported model, instead of a run.")
_DATA_DIR = command_line.define_data_dir()
_CAPTION = flags.DEFINE_multi_string("caption", [], "A caption to draw; may be given several times.")
_CAPTIONS = flags.DEFINE_string("captions", None, "A text file of captions to draw, one per line.")
_HELD_OUT = flags.DEFINE_integer(
    "held_out", 0, "Draw this many captions of the validation split, beside the real images.", lower_bound=0
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Which checkpoint of a run to use: 'latest', 'best' (by FID, see eval.evaluate) or a step."
)
_NUM_NOISE = flags.DEFINE_integer("num_noise", 4, "Images per caption, one for each noise vector.", lower_bound=1)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of the noise vectors and of the choice of held-out captions.", lower_bound=0
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Folder for the images. Default: <workdir>/pictures, or ./pictures for an export."
)


def main(argv: list[str]) -> None:
    """Draws the captions that the flags name, and writes the images."""
    del argv
    if bool(_WORKDIR.value) == bool(_EXPORT.value):
        raise app.UsageError("give the model to use: either --workdir=RUN or --export=FOLDER")
    captions = read_captions(_CAPTION.value, _CAPTIONS.value)
    if bool(captions) == bool(_HELD_OUT.value):
        raise app.UsageError("give the captions: either --caption and --captions, or --held_out")

    import numpy as np

    from xmcgan.display import grid
    from xmcgan.models.text_encoder import check_captions
    from xmcgan.text_to_image import TextToImage

    real = None
    if captions:
        check_captions(captions)
    if _EXPORT.value:
        model = TextToImage.from_export(_EXPORT.value)
    else:
        model = TextToImage.from_run(_WORKDIR.value, _DATA_DIR.value, _CHECKPOINT.value)
    if _HELD_OUT.value:
        captions, real = held_out(model.config)
    warn_of_truncation(model, captions)
    seeds = [_SEED.value + i for i in range(_NUM_NOISE.value)]
    drawn = model([caption for caption in captions for _ in seeds], seeds * len(captions))
    images = drawn.reshape(len(captions), len(seeds), *drawn.shape[1:])

    output = _OUTPUT.value or os.path.join(_WORKDIR.value or "", "pictures")
    for row, images_of_caption in enumerate(images):
        for seed, image in zip(seeds, images_of_caption):
            grid.save_png(os.path.join(output, f"caption_{row:04d}_seed_{seed}.png"), image)
    columns = [f"z {seed}" for seed in seeds]
    if real is not None:
        images, columns = np.concatenate([real[:, None], images], axis=1), ["real", *columns]
    path = os.path.join(output, "grid.png")
    grid.save_png(path, grid.image_grid(images, captions, columns))
    print(f"{model.name}: {len(drawn)} images of {len(captions)} captions are in {output}; the grid is {path}")


def read_captions(given: list[str], path: str | None) -> list[str]:
    """Returns the captions given on the command line, then those of a text file, without blank lines.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file has no captions, or is not UTF-8.
    """
    captions = list(given)
    if path:
        with open(path, encoding="utf-8") as file:
            try:
                lines = [line.strip() for line in file if line.strip()]
            except UnicodeDecodeError as error:
                raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8") from error
        if not lines:
            raise ValueError(f"{path} has no captions: write one per line")
        captions += lines
    return captions


def held_out(config: Config | None) -> tuple[list[str], np.ndarray]:
    """Reads captions of the validation split, and their real images: uint8 [captions, size, size, 3].

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
        batch_size=_HELD_OUT.value,
        image_size=config.data.image_size,
        num_captions=_HELD_OUT.value,
        seed=_SEED.value,
    )
    batch = next(iter(batches))
    return [caption.decode() for caption in batch.caption.numpy()], batch.image.numpy()


def warn_of_truncation(model: TextToImage, captions: Sequence[str]) -> None:
    """Warns of captions that have more tokens than the model reads."""
    from absl import logging

    for caption, tokens in zip(captions, model.tokens(captions)):
        if tokens.is_cut:
            logging.warning(
                "the model reads only the first %d tokens of: %.60s...",
                len(tokens.words) - 2,
                " ".join(caption.split()),
            )


if __name__ == "__main__":
    command_line.run(main)
