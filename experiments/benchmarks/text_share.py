"""The share of BERT in a training iteration, and what an iteration on stored features takes instead.

  python -m experiments.benchmarks.text_share --dataset=coco2014
  python -m experiments.benchmarks.text_share --dataset=ln_coco --config.training.batch_size=4 --output=share.json
  python -m experiments.benchmarks.text_share --dataset=coco2014 --config.data.image_size=128 --iterations=1

Runs whole iterations of the experiment that the config describes (discriminator steps, generator step, averages), with
a BERT of the published size in them (12 layers, 768 wide), on stored features, and BERT alone on the same captions: in
turns, each timed after an untimed start. Images, captions and all frozen weights are random, which time does not
depend on; every caption has as many tokens as the config allows. Reading and decoding of images is no part of it
(see `input_pipeline`). Keep the machine quiet meanwhile.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile

from absl import flags

from data_pipelines import datasets
from xmcgan import command_line, config_json
from xmcgan.config import Config
from xmcgan.files import replaced

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each.", lower_bound=1)
_ITERATIONS = flags.DEFINE_integer("iterations", 3, "Iterations of a turn.", lower_bound=1)
_SCRATCH = flags.DEFINE_string("scratch", None, "Folder for the random weights, which are removed. [the system's own]")
_OUTPUT = flags.DEFINE_string("output", None, "File for all numbers, as JSON.")
command_line.define_config(datasets)

_NAMES = {"on_the_fly": "iteration with BERT", "stored": "iteration on stored features", "bert": "BERT alone"}


def main(argv: list[str]) -> None:
    """Prints the shares."""
    del argv
    import tensorflow as tf

    from experiments.benchmarks import iterations
    from xmcgan.training import cluster

    config = command_line.get_config()
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = cluster.create_strategy()
    cluster.check_divides(config.training.batch_size, strategy.num_replicas_in_sync)
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        measured = iterations.Iterations(config, strategy, scratch)
    seconds = measured.time(_ROUNDS.value, _ITERATIONS.value)
    device = f"{strategy.num_replicas_in_sync} GPU(s)" if tf.config.list_physical_devices("GPU") else "CPU"
    print(table(config, f"{device}, {os.cpu_count()} cores", measured.batches_per_iteration, seconds))
    if _OUTPUT.value:
        result = {
            "config": json.loads(config_json.to_json(config)),
            "device": device,
            "cores": os.cpu_count(),
            "seconds": seconds,
        }
        with replaced(_OUTPUT.value) as file:
            json.dump(result, file, indent=2)


def table(config: Config, device: str, batches: int, seconds: dict[str, list[float]]) -> str:
    """What was measured, and the shares.

    Args:
      config: the experiment.
      device: in words.
      batches: in an iteration.
      seconds: an iteration, of every round by what was timed: the keys of _NAMES.
    """
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    captions = config.training.batch_size * batches
    lines = [
        f"{config.dataset}: {config.data.image_size} px, ch {config.generator.channels} and "
        f"{config.discriminator.channels}, batch {config.training.batch_size}, {batches} batches an iteration "
        f"({config.training.update_rule}), {config.data.text_length} tokens; {device}"
    ]
    for name, text in _NAMES.items():
        values = seconds[name]
        spread = f"({min(values):.3f} to {max(values):.3f} in {len(values)} rounds)"
        lines.append(f"{text:<30}{middle[name]:>9.3f} s   {spread}")
    share = [bert / whole for bert, whole in zip(seconds["bert"], seconds["on_the_fly"])]
    rest = [stored / whole for stored, whole in zip(seconds["stored"], seconds["on_the_fly"])]
    lines += [
        f"BERT's {captions} captions ({captions / middle['bert']:,.0f} a second) take {_spread(share)} of an iteration",
        f"an iteration on stored features takes {_spread(rest)} of one with BERT",
    ]
    return "\n".join(lines)


def _spread(shares: list[float]) -> str:
    return f"{statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})"


if __name__ == "__main__":
    command_line.run(main)
