"""Speed and memory of the input pipeline, from records to batches of pictures.

  python -m experiments.benchmarks.input_pipeline
  python -m experiments.benchmarks.input_pipeline --source=coco/val2014 --output=input_pipeline.json

Writes records of 640 x 480 JPEG files (drawn ones, or the photographs of --source, repeated) for each --num_pictures,
and takes shuffled training batches from them. The speed is held against bare tf.io.decode_jpeg and resize of the same
files on all cores: both run in turns, and the ratio is the median over the rounds. The peak memory is that of a fresh
process after as many pictures as the largest dataset has; cached files, which belong to the system, do not count.
Keep the machine quiet meanwhile.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent import futures

from absl import app, flags

from xmcgan import command_line

_NUM_PICTURES = flags.DEFINE_multi_integer("num_pictures", [2_000, 20_000], "Pictures of a dataset; give it for each.")
_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs (.jpg) to take instead of drawing some.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 256, "Pixels a side of the pictures in a batch.", lower_bound=1)
_CACHE = flags.DEFINE_enum("cache", "none", ["none", "memory"], "As --config.data.cache.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Turns of the pipeline and of bare decoding.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 4.0, "Of a turn.", lower_bound=0)
_SCRATCH = flags.DEFINE_string("scratch", None, "Folder for the records, which are removed. [the system's own]")
_OUTPUT = flags.DEFINE_string("output", None, "File for all numbers, as JSON.")

_NUM_DRAWN = 200
_PICTURES_IN_FILE = 1_000
_GOAL = 0.85


def main(argv: list[str]) -> None:
    del argv
    if min(_NUM_PICTURES.value) < 1:
        raise app.UsageError("--num_pictures must be 1 or more")
    import multiprocessing

    import tqdm

    from experiments.benchmarks import input_rates, photographs

    num_drawn = min(_NUM_DRAWN, *_NUM_PICTURES.value)
    jpegs = photographs.read(_SOURCE.value) if _SOURCE.value else photographs.draw(num_drawn)
    mean_size = sum(map(len, jpegs)) / len(jpegs)
    sizes = f"{mean_size / 1e3:.0f} kB on average, resized to {_IMAGE_SIZE.value} px"
    print(f"{len(jpegs)} different pictures, {sizes}; {os.cpu_count()} cores")
    results = []
    for num_pictures in tqdm.tqdm(_NUM_PICTURES.value, unit="dataset", disable=None):
        with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as data_dir:
            write_records(data_dir, jpegs, num_pictures)
            # A fresh process, whose peak memory is of this dataset alone.
            with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                task = process.submit(
                    input_rates.measure,
                    data_dir,
                    jpegs,
                    image_size=_IMAGE_SIZE.value,
                    cache=_CACHE.value,
                    drawn=max(_NUM_PICTURES.value),
                    rounds=_ROUNDS.value,
                    seconds=_SECONDS.value,
                )
                results.append({"num_pictures": num_pictures, **task.result()})
    print(table(results))
    if _OUTPUT.value:
        settings = {"image_size": _IMAGE_SIZE.value, "cache": _CACHE.value, "cores": os.cpu_count()}
        with open(f"{_OUTPUT.value}.incomplete", "w", encoding="utf-8") as file:
            json.dump({**settings, "mean_jpeg_bytes": mean_size, "datasets": results}, file, indent=2)
        os.replace(f"{_OUTPUT.value}.incomplete", _OUTPUT.value)


def write_records(data_dir: str, jpegs: Sequence[bytes], num_pictures: int) -> None:
    """Writes a dataset as a conversion would, with `jpegs` over and over.

    Raises:
      ValueError: the disk is too small for it.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from data_pipelines import record_index, records
    from experiments.benchmarks.input_rates import DATASET

    needed = 1.02 * num_pictures * sum(map(len, jpegs)) / len(jpegs)
    free = shutil.disk_usage(data_dir).free
    if needed > free:
        raise ValueError(
            f"{num_pictures} pictures need {needed / 1e9:.1f} GB, and {data_dir} has {free / 1e9:.1f} GB left: "
            "name another disk by --scratch, or take fewer --num_pictures"
        )
    features = records.features()
    serialized = []
    for number, jpeg in enumerate(jpegs):
        captions = [f"caption {i} of a picture" for i in range(5)]
        record = records.Record(jpeg, str(number), f"{number}.jpg", captions, labels=[])
        serialized.append(features.serialize_example(features.encode_example(records.to_example(record))))

    folder = os.fspath(records.directory(DATASET, data_dir))
    os.makedirs(folder)
    first = range(0, num_pictures, _PICTURES_IN_FILE)
    names = [f"{DATASET}-train.tfrecord-{i:05d}-of-{len(first):05d}" for i in range(len(first))]
    lengths = [min(_PICTURES_IN_FILE, num_pictures - start) for start in first]
    for name, start, length in zip(names, first, lengths):
        with tf.io.TFRecordWriter(os.path.join(folder, name)) as writer:
            for number in range(start, start + length):
                writer.write(serialized[number % len(serialized)])
    split = tfds.core.SplitInfo(name="train", shard_lengths=lengths, num_bytes=0)
    tfds.folder_dataset.write_metadata(data_dir=folder, features=features, split_infos=[split], check_data=False)
    record_index.write(folder, "train", names)


def table(results: Sequence[dict]) -> str:
    """The numbers of all datasets, a line each, and the goal."""
    from statistics import median

    lines = ["pictures   bare decode + resize   input pipeline   ratio   peak memory (at the start)"]
    for result in results:
        lines.append(
            f"{result['num_pictures']:>8,} {median(result['bare']):>20,.0f}/s {median(result['pipeline']):>14,.0f}/s"
            f" {result['ratio']:>7.2f} {result['peak_memory'] / 1e6:>10,.0f} MB"
            f" ({result['memory_at_start'] / 1e6:,.0f} MB)"
        )
    lines.append(f"goal: a ratio of at least {_GOAL}, and the same memory for all sizes")
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.run(main)
