"""An export under load: its speed beside the same weights in Python, its first call, and its memory.

  python -m experiments.benchmarks.serving --workdir=runs/demo
  python -m experiments.benchmarks.serving --dataset=coco2014 --calls=0 --batch_sizes=1

With --workdir, the run's newest checkpoint and text encoder; with --dataset, a model of its config and a BERT of the
published size, all weights random. Exports the model to a scratch folder, loads it again, and draws in turns by both,
each after a start that does not count. Then asks it --calls times for one image: memory must not grow by more than
2 % from the first quarter to the last. Keep the machine quiet meanwhile.
"""

from __future__ import annotations

import json
import os
import tempfile

from absl import app, flags

from data_pipelines import datasets
from xmcgan import command_line
from xmcgan.files import replaced

_WORKDIR = command_line.define_workdir("Folder of a training run.", optional=True)
_DATA_DIR = command_line.define_data_dir()
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "8", "32"], "Images of a request.")
_ROUNDS = flags.DEFINE_integer("rounds", 9, "Turns of each.", lower_bound=1)
_CALLS = flags.DEFINE_integer("calls", 5000, "Requests for one image under watch; 0 for none.", lower_bound=0)
_PRECISION = flags.DEFINE_enum("precision", "float32", ("float32", "bfloat16", "float16"), "Of the export.")
_SCRATCH = flags.DEFINE_string("scratch", None, "Folder for the export, which is removed. [the system's own]")
_OUTPUT = flags.DEFINE_string("output", None, "File for all numbers, as JSON.")
command_line.define_config(datasets, optional=True)

_GROWTH = 0.02


def main(argv: list[str]) -> None:
    """Measures, and prints what it found."""
    del argv
    if not all(size.isdecimal() and int(size) for size in _BATCH_SIZES.value):
        raise app.UsageError(f"--batch_sizes={','.join(_BATCH_SIZES.value)}: give numbers of images such as 1,8,32")
    if not (_WORKDIR.value or flags.FLAGS.dataset):
        raise app.UsageError("give what to serve: --workdir=RUN, or --dataset for a model of random weights")
    from experiments.benchmarks import served_model

    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        if _WORKDIR.value:
            served = served_model.of_run(_WORKDIR.value, _DATA_DIR.value, _PRECISION.value, scratch)
        else:
            served = served_model.of_random_weights(command_line.get_config(), _PRECISION.value, scratch)
        sizes = ", ".join(f"{part} {size / 1e6:,.1f} MB" for part, size in served.sizes.items())
        print(f"{served.title}, {_PRECISION.value}, {os.cpu_count()} cores")
        print(f"written in {served.write_seconds:.0f} s: {sizes}", flush=True)
        first = {way: served_model.first_call(served.folder, way) for way in ("none", "warm_up")}
        print(
            f"a new process loads it in {first['none']['load']:.1f} s; its first image takes "
            f"{first['none']['first']:.2f} s, after the warm-up requests ({first['warm_up']['warm_up']:.1f} s) "
            f"{first['warm_up']['first']:.3f} s, the next one {first['warm_up']['second']:.3f} s",
            flush=True,
        )
        rates = served_model.rates(served, [int(size) for size in _BATCH_SIZES.value], _ROUNDS.value)
        print("  images  export /s  Python /s  ratio")
        for size, (exported, python) in rates.items():
            print(f"{size:>8}{exported:>11.2f}{python:>11.2f}{exported / python:>7.2f}", flush=True)
        memory = served_model.memory(served, _CALLS.value) if _CALLS.value else []
    growth = memory[-1] / memory[0] - 1.0 if memory else 0.0
    if memory:
        print(f"memory of the quarters of {_CALLS.value:,} calls: {', '.join(f'{x / 1e6:.0f} MB' for x in memory)}")
    if _OUTPUT.value:
        result = {"title": served.title, "sizes": served.sizes, "first_call": first, "memory": memory}
        result["rates"] = {size: {"export": both[0], "python": both[1]} for size, both in rates.items()}
        with replaced(_OUTPUT.value) as file:
            json.dump(result, file, indent=2)
    if growth > _GROWTH:
        raise ValueError(f"memory has grown by {growth:.1%} over {_CALLS.value} calls")


if __name__ == "__main__":
    command_line.run(main)
