"""Trains an XMC-GAN.

  python -m xmcgan.train --dataset=scenes
  python -m xmcgan.train --dataset=coco2014 --data_dir=/data --workdir=runs/coco
  python -m xmcgan.train --dataset=ln_openimages --config.training.batch_size=64

The dataset's preset is the paper's experiment; each of its fields can be set on the command line. The folder --workdir
receives config.json, metrics.jsonl, checkpoints/, samples/ and tensorboard/. A run that was stopped, in whatever way,
resumes from its last checkpoint when the same command is given again.

  python -m xmcgan.train --dataset=coco2014 --config.evaluation.every=5000 --config.evaluation.metrics=fid,is

also evaluates every 5,000 steps, as python -m eval.evaluate does, and keeps the best checkpoint by FID.

  python -m xmcgan.train --dataset=birds --workdir=runs/birds --init_from=runs/coco

starts with the weights of a trained model, and with new optimizers. `--minutes=50` saves and stops in good order within
a time limit, such as a queue's.

All GPUs of the machine train together. To train on several machines, give the same command on each. The environment
variable TF_CONFIG names all machines and the machine's own index; --data_dir and --workdir are shared folders.

  export TF_CONFIG='{"cluster": {"worker": ["host1:5000", "host2:5000"]}, "task": {"type": "worker", "index": 0}}'
  python -m xmcgan.train --dataset=coco2014 --strategy=multi_worker --data_dir=/shared/data --workdir=/shared/run
"""

from __future__ import annotations

import math
import time
import typing

from absl import flags, logging

from data_pipelines import datasets
from xmcgan import command_line, handles
from xmcgan.config import Config
from xmcgan.training import cluster

if typing.TYPE_CHECKING:
    import tensorflow as tf

_DATA_DIR = command_line.define_data_dir()
_WORKDIR = command_line.define_workdir()
_STRATEGY, _TPU = command_line.define_strategy()
_MINUTES = flags.DEFINE_float(
    "minutes", math.inf, "Save and stop this many minutes after the command began; the same command resumes.", 0.0
)
command_line.define_init_from()
command_line.define_config(datasets)


def main(argv: list[str]) -> None:
    """Loads the data and the networks of a run, and trains it."""
    del argv
    began = time.monotonic()
    config, data_dir, workdir = command_line.get_config(), _DATA_DIR.value, _WORKDIR.value
    _check_evaluation(config)
    from data_pipelines import prepare, training_data
    from xmcgan.models.text_encoder import load_text_encoder
    from xmcgan.training import loop
    from xmcgan.training.workdir import check_free
    from xmcgan.training.workers import Workers

    # First, because several workers must connect before TensorFlow does anything else.
    strategy = cluster.create_strategy(_STRATEGY.value, _TPU.value)
    workers = Workers(strategy)
    if workers.is_chief:
        check_free(workdir)  # Now, not only after everything is loaded.
    else:
        logging.set_verbosity(logging.WARNING)
    loop.check_run(config, workdir, strategy)
    prepare.prepare_for(config, data_dir)
    data = training_data.TrainingData(config, data_dir)
    with strategy.scope():
        text_encoder = load_text_encoder(config, data_dir)
    data.check_stored_text()
    image_encoder = _image_encoder(config, data_dir, strategy)
    evaluate = None
    if config.evaluation.every:  # Before training: if a network is missing, the run should fail now.
        from eval import run_evaluation

        evaluate = run_evaluation.evaluator(config, data_dir, workdir, strategy, text_encoder)
    with workers.explained():
        time_limit = began + 60.0 * _MINUTES.value - time.monotonic()
        held_out = loop.train(config, workdir, data, text_encoder, image_encoder, evaluate, strategy, time_limit)
    if held_out is not None:
        logging.info("%s", held_out.summary())
    logging.info("the run is in %s; watch it with: tensorboard --logdir %s", workdir, workdir)


def _image_encoder(config: Config, data_dir: str, strategy: tf.distribute.Strategy) -> typing.Callable | None:
    """Loads the frozen image encoder, if one of its losses is on."""
    if not config.uses_image_encoder:
        return None
    from eval.scenes import scene_evaluators
    from xmcgan.models.image_encoder import load_image_encoder
    from xmcgan.training.step import is_compiled

    scene_evaluators.prepare(config.image_encoder.weights, data_dir)
    weights = handles.resolve(config.image_encoder.weights, data_dir)
    return load_image_encoder(config, weights, strategy, compiled=is_compiled(config, strategy))


def _check_evaluation(config: Config) -> None:
    """Refuses evaluations within a run that trains on several machines."""
    several = cluster.resolve(_STRATEGY.value) == "multi_worker" and len(cluster.read_cluster().workers) > 1
    if several and config.evaluation.every:
        raise ValueError(
            f"config.evaluation.every={config.evaluation.every} is for runs on one machine: leave it at 0, and "
            f"evaluate with python -m eval.evaluate --workdir={_WORKDIR.value} --data_dir={_DATA_DIR.value} --follow"
        )


if __name__ == "__main__":
    command_line.run(main)
