"""Do the metrics move as they should? Real images of scenes against other real ones, and made worse.

  python -m experiments.metric_sensitivity --data_dir=data/sensitivity

One half of the validation split takes the place of generated images: as it is, blurred, with noise, and with the
captions of other images. Distances to the other half (FD, KD) should be near 0 at first and grow with blur and noise;
R-precision and SOA should fall. Swapped captions leave FD, KD and IS alone, and ruin R-precision and SOA. Prints a
table in Markdown. The scenes (many for validation) and the networks that look at them are prepared on first use: some
minutes on 2 cores.
"""

from __future__ import annotations

import tabulate
from absl import flags
from etils import epy

from xmcgan import command_line

with epy.lazy_imports():
    from data_pipelines import input_pipeline, prepare
    from eval import evaluation
    from experiments.checks import sensitivity

_DATA_DIR = command_line.define_data_dir()
_NUM_IMAGES = flags.DEFINE_integer("num_pictures", 4000, "Of both halves together.", lower_bound=400)


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    prepare.prepare_scenes(_DATA_DIR.value, num_val=_NUM_IMAGES.value)
    held = input_pipeline.num_examples("scenes", evaluation.SPLIT, _DATA_DIR.value)
    if held < _NUM_IMAGES.value:
        raise ValueError(
            f"the scenes in {_DATA_DIR.value} have {held} images for validation: lower --num_pictures, or name a "
            "--data_dir without scenes, where enough are drawn"
        )
    found = sensitivity.measure(_DATA_DIR.value, _NUM_IMAGES.value)
    names = [score.name for score in next(iter(found.values()))]
    rows = [(title, *map(str, scores)) for title, scores in found.items()]
    print(tabulate.tabulate(rows, ["done to the images", *names], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    command_line.run(main)
