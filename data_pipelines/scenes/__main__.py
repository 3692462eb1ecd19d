"""Draws scenes into a folder that looks like a published dataset.

python -m data_pipelines.scenes --output=drawn --num_images=1000
python -m data_pipelines.scenes --output=drawn --num_images=1000 --image_size=256 --seed=1
"""

from __future__ import annotations

from absl import flags

from data_pipelines.scenes import draw, layouts
from xmcgan import command_line

_OUTPUT = flags.DEFINE_string("output", None, "Folder to make.", required=True)
_NUM_IMAGES = flags.DEFINE_integer("num_images", None, "Training pictures.", required=True, lower_bound=1)
_NUM_VAL_IMAGES = flags.DEFINE_integer(
    "num_val_images", None, "Validation pictures; by default a tenth of --num_images.", lower_bound=1
)
_LAYOUT = flags.DEFINE_enum("layout", "coco2014", list(layouts.LAYOUTS), "Whose source layout to write.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", draw.DEFAULT_SIZE, "Pixels a side.", lower_bound=32)
_SEED = flags.DEFINE_integer("seed", 0, "Another seed draws other scenes.", lower_bound=0)


def main(argv: list[str]) -> None:
    del argv
    layouts.LAYOUTS[_LAYOUT.value](
        _OUTPUT.value,
        num_train=_NUM_IMAGES.value,
        num_val=_NUM_VAL_IMAGES.value or max(1, _NUM_IMAGES.value // 10),
        seed=_SEED.value,
        image_size=_IMAGE_SIZE.value,
    )
    print(f"scenes in {_OUTPUT.value}")


if __name__ == "__main__":
    command_line.run(main)
