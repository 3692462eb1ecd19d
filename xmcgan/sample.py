"""Draws images of captions with a trained XMC-GAN.

  python -m xmcgan.sample --workdir=runs/demo --caption="a red ball on the beach"
  python -m xmcgan.sample --workdir=runs/demo --captions=captions.txt --num_noise=8 --output=images
  python -m xmcgan.sample --workdir=runs/demo --held_out=16

Writes a labeled grid, grid.png (a row for each caption, a column for each noise vector), and every image as a file
of its own. The same captions, seed and checkpoint give the same images.
"""

from __future__ import annotations

import os

from absl import app, flags

from xmcgan import command_line

_WORKDIR = command_line.define_workdir()
_DATA_DIR = command_line.define_data_dir()
_CAPTION = flags.DEFINE_multi_string("caption", [], "A sentence to draw.")
_CAPTIONS = flags.DEFINE_string("captions", None, "A text file of sentences to draw, one in a line.")
_HELD_OUT = flags.DEFINE_integer(
    "held_out", 0, "Draw this many captions of the validation split, beside the real pictures.", lower_bound=0
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "latest", "Which one to draw with: 'latest', 'best' (by FID, see eval.evaluate) or a step."
)
_NUM_NOISE = flags.DEFINE_integer("num_noise", 4, "Pictures of each caption, one for each noise vector.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the noise vectors and of the choice of held-out captions.", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the pictures. [<workdir>/pictures]")


def main(argv: list[str]) -> None:
    del argv
    captions = read_captions(_CAPTION.value, _CAPTIONS.value)
    if bool(captions) == bool(_HELD_OUT.value):
        raise app.UsageError("give what to draw, in one way: --caption and --captions, or --held_out")

    import numpy as np
    from absl import logging

    from data_pipelines import input_pipeline
    from xmcgan import grid
    from xmcgan.models.text_encoder import check_captions
    from xmcgan.synthesis import Synthesizer, load_text_encoder
    from xmcgan.training import checkpoints
    from xmcgan.training.state import build_generator
    from xmcgan.training.workdir import read_config

    if captions:
        check_captions(captions)
    config = read_config(_WORKDIR.value)
    real = None
    if _HELD_OUT.value:
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
        captions, real = [caption.decode() for caption in batch.caption.numpy()], batch.image.numpy()

    generator = build_generator(config)
    step = checkpoints.restore_generator(checkpoints.find(_WORKDIR.value, _CHECKPOINT.value), generator)
    text_encoder = load_text_encoder(config, _DATA_DIR.value)
    for caption, cut in zip(captions, text_encoder.is_cut(captions).numpy()):
        if cut:
            logging.warning(
                "only the first %d tokens are read of: %.60s...", config.data.text_length - 2, " ".join(caption.split())
            )
    seeds = [_SEED.value + i for i in range(_NUM_NOISE.value)]
    drawn = Synthesizer(generator, text_encoder, config.generator.noise_dim)(
        [caption for caption in captions for _ in seeds], seeds * len(captions)
    )
    images = drawn.reshape(len(captions), len(seeds), *drawn.shape[1:])

    output = _OUTPUT.value or os.path.join(_WORKDIR.value, "pictures")
    for row, of_caption in enumerate(images):
        for seed, image in zip(seeds, of_caption):
            grid.save_png(os.path.join(output, f"caption_{row:04d}_seed_{seed}.png"), image)
    columns = [f"z {seed}" for seed in seeds]
    if real is not None:
        images, columns = np.concatenate([real[:, None], images], axis=1), ["real", *columns]
    path = os.path.join(output, "grid.png")
    grid.save_png(path, grid.image_grid(images, captions, columns))
    print(f"step {step}: {len(drawn)} pictures of {len(captions)} captions in {output}; look at {path}")


def read_captions(given: list[str], path: str | None) -> list[str]:
    """Captions from the command line, then those of a text file, blank lines left out.

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
            raise ValueError(f"{path} has no captions: write one in each line")
        captions += lines
    return captions


if __name__ == "__main__":
    command_line.run(main)
