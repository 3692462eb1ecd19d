"""Draws scenes into a folder with the layout of a published dataset, which that dataset's converter can read.

  python -m data_pipelines.scenes --output=drawn --num_images=1000
  python -m data_pipelines.scenes --layout=ln_coco --output=drawn --num_images=1000 --image_size=256 --seed=1
  python -m data_pipelines.scenes --layout=ln_coco --output=drawn --num_images=1000 --captions_only
  python -m data_pipelines.scenes --layout=ln_openimages --output=drawn --num_images=1000 --archives

coco2014: train2014/, val2014/, and annotations/ with five short captions and the objects of each image.
ln_coco: train2017/, val2017/, annotations/ with the objects, and coco_*_localized_narratives*.jsonl with one long
spoken narrative of each image (two for some images): timed words with disfluencies, and the trace of the mouse.
ln_openimages: the same narratives, with train_0/ ... train_f/, validation/ and
open_images_*_localized_narratives*.jsonl.

A seed draws the same scenes in every layout. The validation split never repeats combinations of the training split. The
folder appears only when it is complete. `python -m data_pipelines.convert` converts it to records.
"""

from __future__ import annotations

from absl import app, flags

from data_pipelines.scenes import draw, layouts
from xmcgan import command_line, path_flags
from xmcgan.files import check_room

_MOST_IMAGES = 10_000_000
_SMALLEST_IMAGE = 500, 0.05  # Bytes of a JPEG and its captions, and per pixel.

_LAYOUT = flags.DEFINE_enum("layout", "coco2014", list(layouts.LAYOUTS), "Dataset whose layout to write.")
_OUTPUT = path_flags.define_path("output", None, "Folder to create.", required=True)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "Number of training images.", required=True, lower_bound=1, upper_bound=_MOST_IMAGES
)
_NUM_VAL_IMAGES = flags.DEFINE_integer(
    "num_val_images",
    None,
    "Number of validation images; by default a tenth of --num_images.",
    lower_bound=1,
    upper_bound=_MOST_IMAGES,
)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", draw.DEFAULT_SIZE, "Pixels a side.", lower_bound=32, upper_bound=4096)
_SEED = command_line.define_seed("Seed of the scenes.")
_CAPTIONS_ONLY = flags.DEFINE_bool(
    "captions_only", False, "With ln_*: write the smaller *_captions.jsonl, without timed words and traces."
)
_ARCHIVES = flags.DEFINE_bool(
    "archives", False, "With ln_openimages: pack the images into train_0.tar.gz and so on, as published."
)
# The options that only some layouts have.
_OPTIONS = ((_CAPTIONS_ONLY, ("ln_coco", "ln_openimages")), (_ARCHIVES, ("ln_openimages",)))


def main(argv: list[str]) -> None:
    """Runs the command."""
    del argv
    options: dict[str, bool] = {}
    for flag, supported in _OPTIONS:
        if flag.value and _LAYOUT.value not in supported:
            alternatives = " or ".join(f"--layout={layout}" for layout in supported)
            raise app.UsageError(f"--{flag.name} does not apply to --layout={_LAYOUT.value}: only to {alternatives}")
        if _LAYOUT.value in supported:
            options[flag.name] = flag.value
    num_val = _NUM_VAL_IMAGES.value or max(1, _NUM_IMAGES.value // 10)
    per_image = _SMALLEST_IMAGE[0] + _SMALLEST_IMAGE[1] * _IMAGE_SIZE.value**2
    check_room(_OUTPUT.value, (_NUM_IMAGES.value + num_val) * per_image, "draw the scenes")
    layouts.LAYOUTS[_LAYOUT.value](
        _OUTPUT.value,
        num_train=_NUM_IMAGES.value,
        num_val=num_val,
        seed=_SEED.value,
        image_size=_IMAGE_SIZE.value,
        **options,
    )
    print(f"scenes in {_OUTPUT.value}")


if __name__ == "__main__":
    command_line.run(main)
