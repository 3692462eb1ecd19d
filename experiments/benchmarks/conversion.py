"""Measures the throughput of a conversion, and the size of its records on disk.

  python -m experiments.benchmarks.conversion
  python -m experiments.benchmarks.conversion --source=coco/train2014 --num_pictures=4000 --output=conversion.json

Lays out 640 x 480 JPEG files (drawn ones, or the photographs of --source, repeated) as COCO-14 with five captions each,
and converts them as `python -m data_pipelines.convert` does. Prints images per second and bytes per image, and the size
of all of COCO-14 at that rate. The JAX release of XMC-GAN needs 87 GB for COCO-14: PNG images, and 58 GB of embeddings.
"""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
import time

from absl import flags
from etils import epy

from xmcgan import command_line, path_flags
from xmcgan.files import replaced

with epy.lazy_imports():
    from data_pipelines import prepare, records
    from experiments.benchmarks import photographs

_NUM_IMAGES = flags.DEFINE_integer("num_pictures", 2_000, "Images to convert.", lower_bound=2)
_SOURCE = path_flags.define_path("source", None, "Folder of photographs (.jpg) to use instead of drawn ones.")
_BEAM_RUNNER = flags.DEFINE_string("beam_runner", None, "Runner of Apache Beam to convert with. [no Beam]")
_SCRATCH = path_flags.define_path("scratch", None, "Folder for all files, which are removed. [the system's]")
_OUTPUT = path_flags.define_path("output", None, "File for all numbers, as JSON.")

_NUM_DRAWN = 200
_SPLITS = {"train2014": "train", "val2014": "validation"}
_CAPTIONS = 5
_COCO14_IMAGES = 82_783 + 40_504
_RELEASE_BYTES = 87e9


def main(argv: list[str]) -> None:
    """Converts and prints the measurements."""
    del argv
    jpegs = photographs.read(_SOURCE.value) if _SOURCE.value else photographs.draw(_NUM_DRAWN)
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        source, data_dir = pathlib.Path(scratch) / "source", pathlib.Path(scratch) / "data"
        jpeg_bytes = write_coco2014(source, jpegs, _NUM_IMAGES.value)
        start = time.perf_counter()
        prepare.convert("coco2014", source, data_dir, beam_runner=_BEAM_RUNNER.value)
        seconds = time.perf_counter() - start
        folder = records.directory("coco2014", data_dir)
        record_bytes = sum(path.stat().length for path in folder.iterdir())
    result = {
        "cores": os.cpu_count(),
        "pictures": _NUM_IMAGES.value,
        "seconds": seconds,
        "pictures_per_second": _NUM_IMAGES.value / seconds,
        "jpeg_bytes_per_picture": jpeg_bytes / _NUM_IMAGES.value,
        "record_bytes_per_picture": record_bytes / _NUM_IMAGES.value,
    }
    per_image = result["record_bytes_per_picture"]
    print(
        f"{result['pictures']:,} images of {result['jpeg_bytes_per_picture'] / 1e3:.1f} kB in {seconds:.1f} s on "
        f"{result['cores']} cores: {result['pictures_per_second']:.0f} images/s"
    )
    print(
        f"{per_image / 1e3:.1f} kB per image on disk; {_COCO14_IMAGES:,} such images: "
        f"{per_image * _COCO14_IMAGES / 1e9:.1f} GB (JAX release: {_RELEASE_BYTES / 1e9:.0f} GB)"
    )
    if _OUTPUT.value:
        with replaced(_OUTPUT.value) as file:
            json.dump(result, file, indent=2)


def write_coco2014(source: pathlib.Path, jpegs: list[bytes], num_images: int) -> int:
    """Lays out images as COCO-14, with nine in ten of them in the training split.

    Args:
      source: folder to make.
      jpegs: JPEG files, which are repeated.
      num_images: images of both splits together, at least 2.

    Returns:
      The total bytes of the images.
    """
    (source / "annotations").mkdir(parents=True)
    num_train = min(max(1, num_images * 9 // 10), num_images - 1)
    total = 0
    for folder, numbers in zip(_SPLITS, (range(num_train), range(num_train, num_images))):
        (source / folder).mkdir()
        names = {number: f"COCO_{folder}_{number:012d}.jpg" for number in numbers}
        for number, name in names.items():
            jpeg = jpegs[number % len(jpegs)]
            (source / folder / name).write_bytes(jpeg)
            total += len(jpeg)
        images = [{"id": number, "file_name": name} for number, name in names.items()]
        captions = [
            {
                "id": _CAPTIONS * number + turn,
                "image_id": number,
                "caption": f"Caption {turn} of an image of a street.",
            }
            for number in numbers
            for turn in range(_CAPTIONS)
        ]
        for kind, content in (
            ("captions", {"annotations": captions}),
            ("instances", {"annotations": [], "categories": []}),
        ):
            (source / "annotations" / f"{kind}_{folder}.json").write_text(json.dumps({"images": images, **content}))
    return total


if __name__ == "__main__":
    command_line.run(main)
