"""Measures seconds per image and memory of image generation.

  python -m experiments.benchmarks.generate
  python -m experiments.benchmarks.generate --case=128px_ch32 --dtype=bfloat16 --batch_size=8
  python -m experiments.benchmarks.generate --profile=/tmp/profile

Runs an untrained generator in inference mode, compiled, on random features of captions (no BERT).

The seconds per image are multiplied by the rate of a float32 product of 4096 x 4096 matrices, measured before and
after. The result is the "GEMM-equivalent GFLOP per image", which can be compared between machines. The last line is
JSON. Keep the machine otherwise idle.
"""

from __future__ import annotations

import json

from etils import epy

from experiments.benchmarks import network_cases
from xmcgan import command_line

with epy.lazy_imports():
    from experiments.benchmarks import network_times, op_times

_BATCH_SIZE = 4
_FLAGS = network_cases.define_flags(batch_size=str(_BATCH_SIZE))


def main(argv: list[str]) -> None:
    """Prints the table and the JSON line."""
    del argv
    config = network_cases.config_of_flags(_FLAGS, batch_size=_BATCH_SIZE)
    draw = network_times.generation(config)
    measured = network_times.measure(draw, config.training.batch_size, _FLAGS.rounds.value, _FLAGS.gemm_size.value)
    print(network_times.table(config, "generation", measured))
    if _FLAGS.profile.value:
        print(op_times.table(op_times.profile(draw, _FLAGS.profile.value)))
    result = {
        "case": network_cases.name_of(config),
        "what": "generate",
        "batch_size": config.training.batch_size,
        "dtype": config.training.precision,
        "xla": config.training.xla,
    }
    print(json.dumps({**result, **measured}))


if __name__ == "__main__":
    command_line.run(main)
