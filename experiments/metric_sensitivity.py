"""Checks that the metrics respond to degraded images: compares real images of scenes with other real ones.

  python -m experiments.metric_sensitivity --data_dir=data/sensitivity

One half of the validation split replaces the generated images: unchanged, blurred, with noise, and with the captions
of other images. Distances to the other half (FD, KD) should be near 0 for unchanged images and grow with blur and
noise; R-precision and SOA should fall. Swapped captions should not change FD, KD and IS, but R-precision and SOA should
drop sharply. Prints a table in Markdown. The scenes (with a large validation split) and the networks of the metrics are
prepared on first use, which takes some minutes on 2 cores.
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
_NUM_IMAGES = flags.DEFINE_integer("num_pictures", 4000, "Images of both halves together.", lower_bound=400)


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    prepare.prepare_scenes(_DATA_DIR.value, num_val=_NUM_IMAGES.value)
    available = input_pipeline.num_examples("scenes", evaluation.SPLIT, _DATA_DIR.value)
    if available < _NUM_IMAGES.value:
        raise ValueError(
            f"the scenes in {_DATA_DIR.value} have {available} validation images: lower --num_pictures, or give a "
            "--data_dir without scenes, so that enough are drawn there"
        )
    scores_of = sensitivity.measure(_DATA_DIR.value, _NUM_IMAGES.value)
    names = [score.name for score in next(iter(scores_of.values()))]
    rows = [(title, *map(str, scores)) for title, scores in scores_of.items()]
    print(tabulate.tabulate(rows, ["degradation", *names], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    command_line.run(main)
