"""A model and its export, side by side, to be timed and watched."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Callable

import numpy as np
import psutil
import tensorflow as tf
import tqdm

from data_pipelines.scenes import bert_model
from experiments.benchmarks import first_call as first_call_program
from experiments.benchmarks import random_bert
from xmcgan.config import Config
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.serving import saved_model, weights
from xmcgan.serving.caption_to_image import CaptionToImage
from xmcgan.serving.signatures import signatures
from xmcgan.text_to_image import TextToImage
from xmcgan.training import checkpoints
from xmcgan.training.state import build_generator
from xmcgan.training.workdir import read_config

_CAPTION = "a red ball on the beach and a small blue tree at night"
_SHORTEST_TURN = 1.0  # Seconds.


@dataclasses.dataclass
class Served:
    """An export, and the same weights in Python."""

    title: str
    folder: str  # Of the SavedModel
    write_seconds: float
    sizes: dict[str, int]  # Bytes by part
    python: TextToImage


def of_run(workdir: str, data_dir: str, precision: str, scratch: str) -> Served:
    """The newest checkpoint of a run."""
    config = read_config(workdir)
    path = checkpoints.find(workdir)
    plain = CaptionToImage.from_checkpoint(config, path, data_dir)
    model = CaptionToImage.from_checkpoint(config, path, data_dir, precision=precision, fold_statistics=True)
    return _export(config, model, plain, scratch)


def of_random_weights(config: Config, precision: str, scratch: str) -> Served:
    """A model of a config, with a BERT of the published size."""
    config = dataclasses.replace(config, text=dataclasses.replace(config.text, dim=bert_model.BASE.width))
    random_bert.write(scratch)
    text_encoder = TextEncoder(
        os.path.join(scratch, "preprocessor"), os.path.join(scratch, "encoder"), config.data.text_length
    )
    generator, plain = build_generator(config), build_generator(config)
    for target, source in zip(plain.variables, generator.variables):
        target.assign(source)
    weights.fold_statistics(generator)
    generator = weights.in_precision(generator, config, precision)
    model, python = (CaptionToImage(each, text_encoder, config) for each in (generator, plain))
    return _export(config, model, python, scratch)


def first_call(folder: str, way: str) -> dict[str, float]:
    """Seconds of a new process, see the program `first_call`."""
    command = [sys.executable, "-I", first_call_program.__file__, folder, way]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def rates(served: Served, batch_sizes: Sequence[int], rounds: int) -> dict[int, tuple[float, float]]:
    """Images a second of the export and of Python, by batch size: each the median of its turns."""
    ask = _asked(served.folder)
    found = {}
    for size in batch_sizes:
        captions, seeds = [_CAPTION] * size, list(range(size))
        ways = [lambda: ask(captions, seeds), lambda: served.python(captions, seeds)]  # noqa: B023 (used at once)
        calls = [max(1, round(_SHORTEST_TURN / _seconds(way, 1))) for way in ways if way() is not None]
        seconds: list[list[float]] = [[], []]
        for turn in range(rounds):
            for i in (0, 1) if turn % 2 else (1, 0):
                seconds[i].append(_seconds(ways[i], calls[i]) / calls[i])
        found[size] = (size / statistics.median(seconds[0]), size / statistics.median(seconds[1]))
    return found


def memory(served: Served, calls: int) -> list[float]:
    """Bytes in memory (resident set): the means of the quarters of many calls for one image."""
    ask, process = _asked(served.folder), psutil.Process()
    every = max(1, calls // 200)
    seen = []
    for call in tqdm.trange(calls, unit="call", disable=None):
        ask([f"{_CAPTION} {call}"], [call])
        if call % every == 0:
            seen.append(process.memory_info().rss)
    return [float(np.mean(part)) for part in np.array_split(seen[len(seen) // 10 :], 4)]


def _export(config: Config, model: CaptionToImage, plain: CaptionToImage, scratch: str) -> Served:
    folder, start = os.path.join(scratch, "export", "1"), time.perf_counter()
    saved_model.write(model, folder, "export")
    seconds = time.perf_counter() - start
    title = f"{config.dataset}: {config.data.image_size} px, ch {config.generator.channels}"
    sizes = dict(saved_model.sizes(folder, model))
    return Served(title, folder, seconds, sizes, TextToImage(plain, signatures(plain), "plain", {}))


def _asked(folder: str) -> Callable[[Sequence[str], Sequence[int]], np.ndarray]:
    loaded = tf.saved_model.load(folder)

    def ask(captions: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
        return loaded(tf.constant(captions), tf.constant(seeds, tf.int64))["images"].numpy()

    return ask


def _seconds(way: Callable[[], np.ndarray], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        way()
    return time.perf_counter() - start
