"""Trains an XMC-GAN.

  python -m xmcgan.train --dataset=scenes
  python -m xmcgan.train --dataset=coco2014 --data_dir=/data --workdir=runs/coco
  python -m xmcgan.train --dataset=ln_openimages --config.training.batch_size=64

The preset of the dataset is the paper's experiment; every field of it can be set on the command line. The folder
--workdir receives config.json, metrics.jsonl, checkpoints/, samples/ and tensorboard/. A run that was stopped, in
whatever way, goes on from its last checkpoint when the same command is given again.

  python -m xmcgan.train --dataset=coco2014 --config.evaluation.every=5000 --config.evaluation.metrics=fid,is

also evaluates every 5,000 steps, as python -m eval.evaluate does, and keeps the best checkpoint by FID.

All GPUs of the machine train together. On several machines, the same command is given on each, with the environment
variable TF_CONFIG naming all of them and the machine's own index; --data_dir and --workdir are folders that all share.

  export TF_CONFIG='{"cluster": {"worker": ["host1:5000", "host2:5000"]}, "task": {"type": "worker", "index": 0}}'
  python -m xmcgan.train --dataset=coco2014 --strategy=multi_worker --data_dir=/shared/data --workdir=/shared/run
"""

from __future__ import annotations

from absl import logging

from xmcgan import command_line, config_checks
from xmcgan.config import Config
from xmcgan.training import cluster

_DATA_DIR = command_line.define_data_dir()
_WORKDIR = command_line.define_workdir()
_STRATEGY, _TPU = command_line.define_strategy()
command_line.define_config()


def main(argv: list[str]) -> None:
    del argv
    config = command_line.get_config()
    _check_evaluation(config)
    from data_pipelines import prepare
    from xmcgan.training import distribution
    from xmcgan.training.loop import train
    from xmcgan.training.workers import Workers

    # First of all: several workers find each other before TensorFlow has done anything else.
    strategy = distribution.create_strategy(_STRATEGY.value, _TPU.value)
    workers = Workers(strategy)
    if not workers.is_chief:
        logging.set_verbosity(logging.WARNING)
    if config.dataset == "scenes":
        prepare.prepare_scenes(_DATA_DIR.value)
        prepare.prepare_text_model(_DATA_DIR.value)
        if config_checks.uses_image_encoder(config) and not config.image_encoder.weights:
            from eval.scenes import scene_image_encoder

            scene_image_encoder.prepare(_DATA_DIR.value)
    make_evaluation = None
    if config.evaluation.every:
        from eval import run_evaluation

        make_evaluation = run_evaluation.maker(config, _DATA_DIR.value, _WORKDIR.value)
    with workers.explained():
        held_out = train(config, _DATA_DIR.value, _WORKDIR.value, make_evaluation, strategy)
    if held_out is not None:
        drawn = {name: value for name, value in held_out.metrics.items() if "drawn" in name}
        logging.info(
            "of %d held-out captions, found first by their generated picture: %s (chance: %.1f %%)",
            len(held_out.captions),
            ", ".join(f"{value:.0%} by {name.split('_')[-2]} features" for name, value in drawn.items()),
            100 / len(held_out.captions),
        )
    logging.info("the run is in %s; watch it with: tensorboard --logdir %s", _WORKDIR.value, _WORKDIR.value)


def _check_evaluation(config: Config) -> None:
    """Refuses evaluations during a training on several machines."""
    several = cluster.resolve(_STRATEGY.value) == "multi_worker" and len(cluster.read_cluster().workers) > 1
    if several and config.evaluation.every:
        raise ValueError(
            f"config.evaluation.every={config.evaluation.every} is for one machine: leave it at 0, and run beside the "
            f"training python -m eval.evaluate --workdir={_WORKDIR.value} --data_dir={_DATA_DIR.value} --follow"
        )


if __name__ == "__main__":
    command_line.run(main)
