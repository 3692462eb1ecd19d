"""Measures throughput and memory of the input pipeline, from records to batches of images.

  python -m experiments.benchmarks.input_pipeline
  python -m experiments.benchmarks.input_pipeline --source=coco/val2014 --output=input_pipeline.json

For each --num_pictures, writes records of 640 x 480 JPEG files (drawn ones, or the photographs of --source, repeated)
and takes shuffled training batches from them. The throughput is compared with tf.io.decode_jpeg and resizing alone, on
the same files and all cores: both run in turns, and the ratio is the median over the rounds. The peak memory is that of
a fresh process after as many images as the largest dataset has; the system's file cache is not included. Keep the
machine otherwise idle.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import numpy as np
import tabulate
import tqdm
from absl import app, flags
from etils import epy

from xmcgan import command_line, path_flags
from xmcgan.files import replaced

with epy.lazy_imports():
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from data_pipelines import input_pipeline, record_index, records
    from experiments.benchmarks import photographs

_NUM_IMAGES = flags.DEFINE_multi_integer("num_pictures", [2_000, 20_000], "Images of a dataset")
_SOURCE = path_flags.define_path("source", None, "Folder of photographs (.jpg) to use instead of drawn ones.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 256, "Side of the images in a batch, in pixels.", lower_bound=1)
_CACHE = flags.DEFINE_enum("cache", "none", ["none", "memory"], "Like --config.data.cache.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds, each of the pipeline and of decoding alone.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 4.0, "Seconds of each measurement.", lower_bound=0)
_SCRATCH = path_flags.define_path("scratch", None, "Folder for the records, which are removed. [the system's]")
_OUTPUT = path_flags.define_path("output", None, "File for all numbers, as JSON.")

_NUM_DRAWN = 200
DATASET = "coco2014"
_IMAGES_IN_FILE = 1_000
_BATCH = 64
# Untimed batches at the start of each measurement: more than the pipeline prefetches while decoding alone is measured.
_UNTIMED = 6
_GOAL = 0.85


def main(argv: list[str]) -> None:
    """Measures each size of dataset and prints a table."""
    del argv
    if min(_NUM_IMAGES.value) < 1:
        raise app.UsageError("--num_pictures must be 1 or more")
    num_drawn = min(_NUM_DRAWN, *_NUM_IMAGES.value)
    jpegs = photographs.read(_SOURCE.value) if _SOURCE.value else photographs.draw(num_drawn)
    mean_size = sum(map(len, jpegs)) / len(jpegs)
    sizes = f"{mean_size / 1e3:.0f} kB on average, resized to {_IMAGE_SIZE.value} px"
    print(f"{len(jpegs)} different images, {sizes}; {os.cpu_count()} cores")
    results = []
    for num_images in tqdm.tqdm(_NUM_IMAGES.value, unit="dataset", disable=None):
        with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as data_dir:
            write_records(data_dir, jpegs, num_images)
            # In a fresh process, the peak memory is due to this dataset alone.
            with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                task = process.submit(
                    measure,
                    data_dir,
                    jpegs,
                    image_size=_IMAGE_SIZE.value,
                    cache=_CACHE.value,
                    drawn=max(_NUM_IMAGES.value),
                    rounds=_ROUNDS.value,
                    seconds=_SECONDS.value,
                )
                results.append({"num_pictures": num_images, **task.result()})
    print(table(results))
    if _OUTPUT.value:
        settings = {"image_size": _IMAGE_SIZE.value, "cache": _CACHE.value, "cores": os.cpu_count()}
        with replaced(_OUTPUT.value) as file:
            json.dump({**settings, "mean_jpeg_bytes": mean_size, "datasets": results}, file, indent=2)


def write_records(data_dir: str, jpegs: Sequence[bytes], num_images: int) -> None:
    """Writes a dataset as a conversion would, with `jpegs` repeated.

    Raises:
      ValueError: the disk has too little space.
    """
    needed = 1.02 * num_images * sum(map(len, jpegs)) / len(jpegs)
    free = shutil.disk_usage(data_dir).free
    if needed > free:
        raise ValueError(
            f"{num_images} images need {needed / 1e9:.1f} GB, and {data_dir} has {free / 1e9:.1f} GB left: "
            "give a folder on another disk as --scratch, or fewer --num_pictures"
        )
    features = records.features()
    serialized = []
    for number, jpeg in enumerate(jpegs):
        captions = [f"caption {i} of an image" for i in range(5)]
        record = records.Record(jpeg, str(number), f"{number}.jpg", captions, labels=[])
        serialized.append(features.serialize_example(features.encode_example(records.to_example(record))))

    folder = os.fspath(records.directory(DATASET, data_dir))
    os.makedirs(folder)
    first = range(0, num_images, _IMAGES_IN_FILE)
    names = [f"{DATASET}-train.tfrecord-{i:05d}-of-{len(first):05d}" for i in range(len(first))]
    lengths = [min(_IMAGES_IN_FILE, num_images - start) for start in first]
    for name, start, length in zip(names, first, lengths):
        with tf.io.TFRecordWriter(os.path.join(folder, name)) as writer:
            for number in range(start, start + length):
                writer.write(serialized[number % len(serialized)])
    split = tfds.core.SplitInfo(name="train", shard_lengths=lengths, num_bytes=0)
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=[split], check_data=False)
    record_index.write(folder, "train", names)


def measure(
    data_dir: str,
    jpegs: Sequence[bytes],
    *,
    image_size: int,
    cache: str,
    drawn: int,
    rounds: int,
    seconds: float,
) -> dict[str, Any]:
    """Runs the pipeline to measure its memory, then in turns with decoding alone to compare their throughput.

    Args:
      data_dir: folder with records of `DATASET` made of the JPEG files.
      jpegs: the files; decoding alone takes them from memory.
      image_size: side of the images, in pixels.
      cache: cache of the pipeline.
      drawn: images to draw before the memory is read; the allocator needs some thousands to settle.
      rounds: measurements of each.
      seconds: seconds of a measurement.

    Returns:
      'bare' and 'pipeline', images per second of every round; 'ratio', the median of the rounds' ratios;
      'memory_at_start' and 'peak_memory', in bytes.
    """
    tf.config.experimental.enable_op_determinism()  # As in training; it restricts tf.data.
    memory_at_start = peak_memory()
    pipeline = iter(
        input_pipeline.training_batches(
            DATASET, data_dir, batch_size=_BATCH, image_size=image_size, random_flip=True, cache=cache
        )
    )
    for _ in range(-(-drawn // _BATCH)):
        next(pipeline)
    peak = peak_memory()
    bare = iter(_bare(jpegs, image_size))
    rates: dict[str, list[float]] = {"bare": [], "pipeline": []}
    for _ in range(rounds):
        rates["bare"].append(_images_per_second(bare, seconds))
        rates["pipeline"].append(_images_per_second(pipeline, seconds))
    ratio = float(np.median(np.divide(rates["pipeline"], rates["bare"])))
    return {**rates, "ratio": ratio, "peak_memory": peak, "memory_at_start": memory_at_start}


def table(results: Sequence[dict]) -> str:
    """Formats the results, one line per dataset, and the goal."""
    rows = []
    for result in results:
        bare, pipeline = np.median(result["bare"]), np.median(result["pipeline"])
        memory = f"{result['peak_memory'] / 1e6:,.0f} MB ({result['memory_at_start'] / 1e6:,.0f} MB)"
        rates = [f"{bare:,.0f}/s", f"{pipeline:,.0f}/s", f"{result['ratio']:.2f}"]
        rows.append([f"{result['num_pictures']:,}", *rates, memory])
    heads = ["images", "decode + resize alone", "input pipeline", "ratio", "peak memory (at the start)"]
    goal = f"goal: a ratio of at least {_GOAL}, and the same memory for all sizes"
    return tabulate.tabulate(rows, heads, tablefmt="plain", stralign="right") + f"\n{goal}"


def peak_memory() -> int:
    """Returns the peak resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bare(jpegs: Sequence[bytes], image_size: int) -> tf.data.Dataset:
    """Decodes and resizes on all cores; keeps one row of each result, so that almost nothing is copied."""

    def decode(jpeg: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(tf.io.decode_jpeg(jpeg, channels=3), (image_size, image_size))[0]

    decoded = tf.data.Dataset.from_tensor_slices(list(jpegs)).repeat().map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return decoded.batch(_BATCH)


def _images_per_second(batches: Iterator, seconds: float) -> float:
    for _ in range(_UNTIMED):
        next(batches)
    start, number = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        next(batches)
        number += _BATCH
    return number / (time.perf_counter() - start)


if __name__ == "__main__":
    command_line.run(main)
