"""The share of an evaluation that is not the networks' forward passes.

  python -m experiments.benchmarks.evaluation --dataset=coco2014
  python -m experiments.benchmarks.evaluation --dataset=coco2014 --config.data.image_size=128 --num_pictures=128

An untrained generator of the config draws images, and Keras' Inception with random weights looks at them, as in
`python -m eval.evaluate --metrics=fid,kid,is`; what an image takes is measured on --num_pictures of them, and the
scores on the paper's 30,000 rows. BERT is left out (see `text_share`), which would make the share smaller. The last
line is JSON. Keep the machine quiet meanwhile.
"""

from __future__ import annotations

import json
import os

from absl import flags

from data_pipelines import datasets
from xmcgan import command_line

_NUM_IMAGES = flags.DEFINE_integer("num_pictures", 128, "Images drawn and looked at.", lower_bound=2)
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Prints the parts, and the JSON line."""
    del argv
    from experiments.benchmarks import evaluation_parts

    config = command_line.get_config()
    config.evaluation.batch_size = min(config.evaluation.batch_size, _NUM_IMAGES.value)
    num_samples = config.evaluation.num_samples
    measured = evaluation_parts.measure(config, _NUM_IMAGES.value, num_samples)
    print(f"{config.data.image_size} px, ch {config.generator.channels}, {os.cpu_count()} cores")
    print(f"forward passes  {1e3 * measured['forward_seconds_per_picture']:>10.2f} ms an image")
    print(f"everything else {1e3 * measured['other_seconds_per_picture']:>10.2f} ms an image")
    print(f"the scores      {measured['scoring_seconds']:>10.2f} s for {num_samples:,} images")
    print(f"not forward     {100 * measured['share_not_forward']:>10.2f} % of an evaluation of {num_samples:,} images")
    print(json.dumps(measured))


if __name__ == "__main__":
    command_line.run(main)
