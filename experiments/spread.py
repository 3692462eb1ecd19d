"""Measures how much a model's images of one caption differ, beside real scenes that have the same caption.

  python -m experiments.spread --model=ours=runs/demo
  python -m experiments.spread --model=long=runs/long --model=short=runs/short --num_captions=200

Most captions leave room: for colors, positions, sizes, the background or further objects. A model that ignores its
noise draws one image for a caption; good images differ as much as the scenes that the caption describes. The captions
are held out, name one kind of object, and each describes several scenes. For these scenes, and for as many images of
each model, the scene recognizer gives

  features   the share of the variance of its features that remains within a caption
  position   the standard deviation of the named object's center within a caption, in percent of the image's side
  found      the share of images in which it finds the named object; position is that of those images

Prints a table in Markdown. The recognizer is trained on first use.
"""

from __future__ import annotations

import tabulate
from absl import flags
from etils import epy

from xmcgan import command_line, model_flags

with epy.lazy_imports():
    from experiments.checks import caption_groups
    from xmcgan import text_to_image

_MODEL = flags.DEFINE_multi_string(
    "model", [], "NAME=FOLDER of a run on scenes, or of an export; several are possible."
)
_DATA_DIR = command_line.define_data_dir()
_NUM_CAPTIONS = flags.DEFINE_integer("num_captions", 100, "Captions.", lower_bound=2)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 4, "Scenes of each caption, and images of it.", lower_bound=2)


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    folders = model_flags.named_folders(_MODEL.value)
    data_dir, per_caption = _DATA_DIR.value, _NUM_IMAGES.value
    models = {name: text_to_image.TextToImage.load(folder, data_dir) for name, folder in folders.items()}
    groups = caption_groups.find(_NUM_CAPTIONS.value, per_caption)
    measure = caption_groups.measure_of(groups, data_dir)
    rows = [("real scenes", measure(caption_groups.real_images(groups)))]
    for name, model in models.items():
        rows.append((name, measure(caption_groups.drawn_images(model, groups))))
    print(f"{len(groups)} held-out captions, {per_caption} images of each")
    print(
        tabulate.tabulate(
            [
                (name, f"{spread.features:.1%}", f"{spread.position:.1%}", f"{spread.found:.1%}")
                for name, spread in rows
            ],
            ["", "features", "position", "found"],
            tablefmt="github",
            disable_numparse=True,
        )
    )


if __name__ == "__main__":
    command_line.run(main)
