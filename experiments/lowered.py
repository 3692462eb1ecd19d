"""Trains a run with JAX on a machine without TensorFlow, such as one with a GPU that TensorFlow 2.15 does not know.

  python -m experiments.lowered --dataset=scenes --workdir=runs/demo --output=lowered    # 1. here: writes the folder
  python lowered/run.py                                                                   # 2. there: needs only jax
  python -m experiments.lowered --read=lowered                                            # 3. here: a checkpoint again
  python -m xmcgan.train --dataset=scenes --workdir=runs/demo                             # evaluate, sample, train on

The folder holds the whole iteration of Algorithm 1 as StableHLO, the run's state, the decoded images, and the order of
images, captions and flips. With run.py it can be copied anywhere. Every step there trains on the images, captions and
noise of the same step here, and its numbers differ by rounding only. A run that has checkpoints goes on from the newest
one. Writing needs JAX as well: pip install 'xmcgan[lowered]'.
"""

from __future__ import annotations

import importlib.util
from typing import Callable

from absl import app, flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line, handles, path_flags
from xmcgan.config import Config

with epy.lazy_imports():
    import tensorflow as tf

    from data_pipelines import prepare
    from eval.scenes import scene_evaluators
    from experiments.lowering import folder as lowered_folder
    from xmcgan.models import image_encoder, text_encoder

_DATA_DIR = command_line.define_data_dir()
_WORKDIR = command_line.define_workdir()
_OUTPUT = path_flags.define_path("output", None, "Folder to write the lowered run to.")
_READ = path_flags.define_path("read", None, "Folder of a lowered run, whose state to bring back into its run.")
command_line.define_config(datasets, optional=True)


def main(argv: list[str]) -> None:
    """Writes the folder of a lowered run, or reads it."""
    del argv
    output = _OUTPUT.value
    if (output is None) == (_READ.value is None):
        raise app.UsageError("give --output to write a lowered run, or --read to bring one back")
    if importlib.util.find_spec("jax") is None:
        raise ValueError("lowering needs JAX: pip install 'xmcgan[lowered]'")
    if output is None:
        workdir, step = lowered_folder.read(_READ.value)
        print(f"{workdir} is at step {step}")
        return
    if flags.FLAGS.dataset is None:
        raise app.UsageError("--dataset is missing: it names the run's config")
    config, data_dir = command_line.get_config(), _DATA_DIR.value
    prepare.prepare_for(config, data_dir)
    step = lowered_folder.write(
        output,
        config,
        data_dir,
        _WORKDIR.value,
        text_encoder.load_text_encoder(config, data_dir),
        _image_encoder(config, data_dir),
    )
    print(f"the run from step {step} on is in {output}: train it by python {output}/run.py")


def _image_encoder(config: Config, data_dir: str) -> Callable | None:
    """Loads the frozen image encoder in the form that XLA compiles; None if its losses are off."""
    if not config.uses_image_encoder:
        return None
    scene_evaluators.prepare(config.image_encoder.weights, data_dir)
    weights = handles.resolve(config.image_encoder.weights, data_dir)
    return image_encoder.load_image_encoder(config, weights, tf.distribute.get_strategy(), compiled=True)


if __name__ == "__main__":
    command_line.run(main)
