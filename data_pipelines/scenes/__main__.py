"""Draws scenes into a folder: `python -m data_pipelines.scenes --output=scenes --num_images=1000`."""

from __future__ import annotations

import sys

from absl import app, flags

from data_pipelines.scenes import draw, layouts

_OUTPUT = flags.DEFINE_string("output", None, "Folder to make.", required=True)
_NUM_IMAGES = flags.DEFINE_integer("num_images", None, "Training pictures.", required=True, lower_bound=1)
_NUM_VAL_IMAGES = flags.DEFINE_integer(
    "num_val_images", None, "Validation pictures; by default a tenth of --num_images.", lower_bound=1
)
_LAYOUT = flags.DEFINE_enum("layout", "coco2014", list(layouts.LAYOUTS), "Whose source layout to write.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", draw.DEFAULT_SIZE, "Pixels a side.", lower_bound=32)
_SEED = flags.DEFINE_integer("seed", 0, "Another seed draws other scenes.", lower_bound=0)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument '{argv[1]}'")
    try:
        layouts.LAYOUTS[_LAYOUT.value](
            _OUTPUT.value,
            num_train=_NUM_IMAGES.value,
            num_val=_NUM_VAL_IMAGES.value or max(1, _NUM_IMAGES.value // 10),
            seed=_SEED.value,
            image_size=_IMAGE_SIZE.value,
        )
    except (OSError, ValueError) as error:
        sys.exit(f"data_pipelines.scenes: error: {error}")
    print(f"scenes in {_OUTPUT.value}")


if __name__ == "__main__":
    app.run(main)
