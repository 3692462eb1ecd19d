"""Speed and memory of the input pipeline, from records to batches of images.

  python -m experiments.benchmarks.input_pipeline
  python -m experiments.benchmarks.input_pipeline --source=coco/val2014 --output=input_pipeline.json

Writes records of 640 x 480 JPEG files (drawn ones, or the photographs of --source, repeated) for each --num_pictures,
and takes shuffled training batches from them. The speed is held against bare tf.io.decode_jpeg and resize of the same
files on all cores: both run in turns, and the ratio is the median over the rounds. The peak memory is that of a fresh
process after as many images as the largest dataset has; cached files, which belong to the system, do not count.
Keep the machine quiet meanwhile.
"""

from __future__ import annotations

import json
import os
import tempfile
from concurrent import futures

from absl import app, flags

from xmcgan import command_line
from xmcgan.files import replaced

_NUM_IMAGES = flags.DEFINE_multi_integer("num_pictures", [2_000, 20_000], "Images of a dataset; give it for each.")
_SOURCE = flags.DEFINE_string("source", None, "Folder of photographs (.jpg) to take instead of drawing some.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 256, "Pixels a side of the images in a batch.", lower_bound=1)
_CACHE = flags.DEFINE_enum("cache", "none", ["none", "memory"], "As --config.data.cache.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Turns of the pipeline and of bare decoding.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 4.0, "Of a turn.", lower_bound=0)
_SCRATCH = flags.DEFINE_string("scratch", None, "Folder for the records, which are removed. [the system's own]")
_OUTPUT = flags.DEFINE_string("output", None, "File for all numbers, as JSON.")

_NUM_DRAWN = 200


def main(argv: list[str]) -> None:
    """Measures each size of dataset."""
    del argv
    if min(_NUM_IMAGES.value) < 1:
        raise app.UsageError("--num_pictures must be 1 or more")
    import multiprocessing

    import tqdm

    from experiments.benchmarks import input_rates, input_records, photographs

    num_drawn = min(_NUM_DRAWN, *_NUM_IMAGES.value)
    jpegs = photographs.read(_SOURCE.value) if _SOURCE.value else photographs.draw(num_drawn)
    mean_size = sum(map(len, jpegs)) / len(jpegs)
    sizes = f"{mean_size / 1e3:.0f} kB on average, resized to {_IMAGE_SIZE.value} px"
    print(f"{len(jpegs)} different images, {sizes}; {os.cpu_count()} cores")
    results = []
    for num_images in tqdm.tqdm(_NUM_IMAGES.value, unit="dataset", disable=None):
        with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as data_dir:
            input_records.write(data_dir, jpegs, num_images)
            # A fresh process, whose peak memory is of this dataset alone.
            with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                task = process.submit(
                    input_rates.measure,
                    data_dir,
                    jpegs,
                    image_size=_IMAGE_SIZE.value,
                    cache=_CACHE.value,
                    drawn=max(_NUM_IMAGES.value),
                    rounds=_ROUNDS.value,
                    seconds=_SECONDS.value,
                )
                results.append({"num_pictures": num_images, **task.result()})
    print(input_rates.table(results))
    if _OUTPUT.value:
        settings = {"image_size": _IMAGE_SIZE.value, "cache": _CACHE.value, "cores": os.cpu_count()}
        with replaced(_OUTPUT.value) as file:
            json.dump({**settings, "mean_jpeg_bytes": mean_size, "datasets": results}, file, indent=2)


if __name__ == "__main__":
    command_line.run(main)
