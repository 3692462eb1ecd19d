"""Measures seconds per image and memory of the training step.

  python -m experiments.benchmarks.train_step --case=128px_ch32
  python -m experiments.benchmarks.train_step --case=256px_ch96 --dtype=bfloat16 --update_rule=joint
  python -m experiments.benchmarks.train_step --case=128px_ch96 --batch_size=8 --config.training.micro_batches=2
  python -m experiments.benchmarks.train_step --case=128px_ch96 --profile=/tmp/profile

Runs whole iterations of the update rule (all of its discriminator steps, the generator step, the averaged weights),
compiled into one graph, on random images and random features of captions. There is no BERT and no loss of the image
encoder, as in the benchmark of the public JAX release. An iteration at batch size 8 counts as 8 images, regardless of
its number of steps.

The seconds per image are multiplied by the rate of a float32 product of 4096 x 4096 matrices, measured before and
after. The result is the "GEMM-equivalent GFLOP per image", which can be compared between machines. The last line is
JSON. Keep the machine otherwise idle.
"""

from __future__ import annotations

import json

from absl import flags
from etils import epy

from experiments.benchmarks import network_cases
from xmcgan import command_line

with epy.lazy_imports():
    import tensorflow as tf

    from experiments.benchmarks import network_times, op_times

_UPDATE_RULE = flags.DEFINE_enum("update_rule", None, ("algorithm1", "joint"), "Sets config.training.update_rule.")
_FLAGS = network_cases.define_flags(batch_size="the case's")


def main(argv: list[str]) -> None:
    """Prints the table and the JSON line."""
    del argv
    config = network_cases.config_of_flags(_FLAGS, update_rule=_UPDATE_RULE.value)
    if config.training.deterministic:
        tf.config.experimental.enable_op_determinism()
    iteration = network_times.training_iteration(config)
    measured = network_times.measure(iteration, config.training.batch_size, _FLAGS.rounds.value, _FLAGS.gemm_size.value)
    print(network_times.table(config, f"iterations of {config.training.update_rule}", measured))
    if _FLAGS.profile.value:
        print(op_times.table(op_times.profile(iteration, _FLAGS.profile.value)))
    result = {
        "case": network_cases.name_of(config),
        "what": "train_step",
        "batch_size": config.training.batch_size,
        "dtype": config.training.precision,
        "update_rule": config.training.update_rule,
        "micro_batches": config.training.micro_batches,
        "recompute": config.training.recompute,
        "xla": config.training.xla,
    }
    print(json.dumps({**result, **measured}))


if __name__ == "__main__":
    command_line.run(main)
