"""Measures an export: its throughput compared with the same weights in Python, its first call, and its memory.

  python -m experiments.benchmarks.serving --workdir=runs/demo
  python -m experiments.benchmarks.serving --dataset=coco2014 --calls=0 --batch_sizes=1

With --workdir, exports the run's newest checkpoint with its text encoder; with --dataset, a model of its config with a
BERT of the published size, all with random weights. The export is written to a scratch folder and loaded again. Export
and Python model generate images in turns, each after an uncounted call. Then the export is asked --calls times for one
image; its memory must not grow by more than 2 % from the first quarter to the last. Keep the machine otherwise idle.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Callable

import numpy as np
import psutil
import tabulate
import tqdm
from absl import app, flags
from etils import epy

from data_pipelines import datasets
from xmcgan import command_line, path_flags
from xmcgan.config import Config
from xmcgan.files import replaced

with epy.lazy_imports():
    import tensorflow as tf

    from experiments.benchmarks import random_bert
    from xmcgan import text_to_image
    from xmcgan.models import bert_model, text_encoder
    from xmcgan.serving import caption_to_image, inference_weights, saved_model, signatures
    from xmcgan.training import checkpoints
    from xmcgan.training import state as state_lib
    from xmcgan.training import workdir as workdir_lib

_WORKDIR = command_line.define_workdir("Folder of a training run.", optional=True)
_DATA_DIR = command_line.define_data_dir()
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "8", "32"], "Images per request, for each measurement.")
_ROUNDS = flags.DEFINE_integer("rounds", 9, "Rounds; each times both.", lower_bound=1)
_CALLS = flags.DEFINE_integer("calls", 5000, "Requests while memory is monitored; 0: none.", lower_bound=0)
_PRECISION = flags.DEFINE_enum("precision", "float32", ("float32", "bfloat16", "float16"), "Precision of the export.")
_SCRATCH = path_flags.define_path("scratch", None, "Folder for the export, which is removed. [the system's]")
_OUTPUT = path_flags.define_path("output", None, "File for all numbers, as JSON.")
command_line.define_config(datasets, optional=True)

_GROWTH = 0.02
_CAPTION = "a red ball on the beach and a small blue tree at night"
_SHORTEST_TURN = 1.0  # Seconds.
# A separate program, which must not import this package.
_FIRST_CALL = os.path.join(os.path.dirname(__file__), "first_call.py")


def main(argv: list[str]) -> None:
    """Measures an export and prints the results."""
    del argv
    if not all(size.isdecimal() and int(size) for size in _BATCH_SIZES.value):
        raise app.UsageError(f"--batch_sizes={','.join(_BATCH_SIZES.value)}: give numbers of images such as 1,8,32")
    if not (_WORKDIR.value or flags.FLAGS.dataset):
        raise app.UsageError("give what to serve: --workdir=RUN, or --dataset for a model with random weights")
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        if _WORKDIR.value:
            served = from_run(_WORKDIR.value, _DATA_DIR.value, _PRECISION.value, scratch)
        else:
            served = from_random_weights(command_line.get_config(), _PRECISION.value, scratch)
        sizes = ", ".join(f"{part} {size / 1e6:,.1f} MB" for part, size in served.sizes.items())
        print(f"{served.title}, {_PRECISION.value}, {os.cpu_count()} cores")
        print(f"written in {served.write_seconds:.0f} s: {sizes}", flush=True)
        first = {mode: first_call(served.folder, mode) for mode in ("none", "warm_up")}
        print(
            f"a new process loads it in {first['none']['load']:.1f} s; its first image takes "
            f"{first['none']['first']:.2f} s; after the warm-up requests ({first['warm_up']['warm_up']:.1f} s), the "
            f"first image takes {first['warm_up']['first']:.3f} s and the next one {first['warm_up']['second']:.3f} s",
            flush=True,
        )
        found = rates(served, [int(size) for size in _BATCH_SIZES.value], _ROUNDS.value)
        rows = [(size, exported, python, exported / python) for size, (exported, python) in found.items()]
        heads = ["batch size", "export, images/s", "Python, images/s", "ratio"]
        print(tabulate.tabulate(rows, heads, "plain", floatfmt=".2f"), flush=True)
        memory = watch_memory(served, _CALLS.value) if _CALLS.value else []
    growth = memory[-1] / memory[0] - 1.0 if memory else 0.0
    if memory:
        print(f"memory in each quarter of {_CALLS.value:,} calls: {', '.join(f'{x / 1e6:.0f} MB' for x in memory)}")
    if _OUTPUT.value:
        result = {"title": served.title, "sizes": served.sizes, "first_call": first, "memory": memory}
        result["rates"] = {size: {"export": both[0], "python": both[1]} for size, both in found.items()}
        with replaced(_OUTPUT.value) as file:
            json.dump(result, file, indent=2)
    if growth > _GROWTH:
        raise ValueError(f"memory has grown by {growth:.1%} over {_CALLS.value} calls")


@dataclasses.dataclass
class Served:
    """An export, and the same weights in Python."""

    title: str
    folder: str  # Folder of the SavedModel
    write_seconds: float
    sizes: dict[str, int]  # Bytes by part
    python: text_to_image.TextToImage


def from_run(workdir: str, data_dir: str, precision: str, scratch: str) -> Served:
    """Exports the newest checkpoint of a run."""
    config = workdir_lib.read_config(workdir)
    path = checkpoints.find(workdir)
    plain = caption_to_image.CaptionToImage.from_checkpoint(config, path, data_dir)
    model = caption_to_image.CaptionToImage.from_checkpoint(
        config, path, data_dir, precision=precision, fold_statistics=True
    )
    return _export(config, model, plain, scratch)


def from_random_weights(config: Config, precision: str, scratch: str) -> Served:
    """Exports a model of a config with a BERT of the published size, all with random weights."""
    config = config.with_fields({"text.dim": bert_model.BASE.width})
    random_bert.write(scratch)
    encoder = text_encoder.TextEncoder(
        os.path.join(scratch, "preprocessor"), os.path.join(scratch, "encoder"), config.data.text_length
    )
    generator, plain = state_lib.build_generator(config), state_lib.build_generator(config)
    for target, source in zip(plain.variables, generator.variables):
        target.assign(source)
    inference_weights.fold_statistics(generator)
    generator = inference_weights.in_precision(generator, config, precision)
    model, python = (caption_to_image.CaptionToImage(each, encoder, config) for each in (generator, plain))
    return _export(config, model, python, scratch)


def first_call(folder: str, mode: str) -> dict[str, float]:
    """Runs the program `first_call` in a new process and returns its seconds."""
    command = [sys.executable, "-I", _FIRST_CALL, folder, mode]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def rates(served: Served, batch_sizes: Sequence[int], rounds: int) -> dict[int, tuple[float, float]]:
    """Returns images per second of the export and of the Python model by batch size, as medians over the rounds."""
    generate = _loaded(served.folder)
    found = {}
    for size in batch_sizes:
        captions, seeds = [_CAPTION] * size, list(range(size))
        # These functions are called before the loop changes their variables, so B023 does not apply.
        models = [lambda: generate(captions, seeds), lambda: served.python(captions, seeds)]  # noqa: B023
        calls = [max(1, round(_SHORTEST_TURN / _seconds(model, 1))) for model in models if model() is not None]
        seconds: list[list[float]] = [[], []]
        for turn in range(rounds):
            for i in (0, 1) if turn % 2 else (1, 0):
                seconds[i].append(_seconds(models[i], calls[i]) / calls[i])
        found[size] = (size / statistics.median(seconds[0]), size / statistics.median(seconds[1]))
    return found


def watch_memory(served: Served, calls: int) -> list[float]:
    """Returns the mean resident set, in bytes, in each quarter of many calls for one image."""
    generate, process = _loaded(served.folder), psutil.Process()
    every = max(1, calls // 200)
    seen = []
    for call in tqdm.trange(calls, unit="call", disable=None):
        generate([f"{_CAPTION} {call}"], [call])
        if call % every == 0:
            seen.append(process.memory_info().rss)
    return [float(np.mean(part)) for part in np.array_split(seen[len(seen) // 10 :], 4)]


def _export(
    config: Config, model: caption_to_image.CaptionToImage, plain: caption_to_image.CaptionToImage, scratch: str
) -> Served:
    folder, start = os.path.join(scratch, "export", "1"), time.perf_counter()
    saved_model.write(model, folder, "export")
    seconds = time.perf_counter() - start
    title = f"{config.dataset}: {config.data.image_size} px, ch {config.generator.channels}"
    sizes = dict(saved_model.sizes(folder, model))
    return Served(
        title, folder, seconds, sizes, text_to_image.TextToImage(plain, signatures.signatures(plain), "plain", {})
    )


def _loaded(folder: str) -> Callable[[Sequence[str], Sequence[int]], np.ndarray]:
    """Loads an export; returns a function (captions, seeds) -> images."""
    loaded = tf.saved_model.load(folder)

    def generate(captions: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
        return loaded(tf.constant(captions), tf.constant(seeds, tf.int64))["images"].numpy()

    return generate


def _seconds(function: Callable[[], np.ndarray], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return time.perf_counter() - start


if __name__ == "__main__":
    command_line.run(main)
