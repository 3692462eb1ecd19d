"""Proof that a conversion may be killed at any moment: the records come out as if nothing had happened.

  python -m experiments.benchmarks.conversion_kills
  python -m experiments.benchmarks.conversion_kills --dataset=ln_coco --kills=10 --num_images=3000 --on_disk

Draws scenes in a dataset's layout and converts them undisturbed. Then it starts the same conversion over and over and
kills it (SIGKILL), by turns: at a random moment of its work, just after the first file of records appears, and while it
clears away what the one before it left. A last run is left alone, and every file's SHA-256 is held against the
undisturbed run's. A table tells what each kill left on the disk.
"""

from __future__ import annotations

import pathlib
import tempfile

from absl import flags

from data_pipelines.scenes import layouts
from experiments.benchmarks.killed_conversion import Conversion, kill_over_and_over, table
from xmcgan import command_line

_DATASET = flags.DEFINE_enum("dataset", "coco2014", list(layouts.LAYOUTS), "Whose layout and builder to take.")
_KILLS = flags.DEFINE_integer("kills", 10, "How many times to kill the conversion.", lower_bound=1)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 3000, "Training pictures to draw.", lower_bound=2)
_ON_DISK = flags.DEFINE_bool("on_disk", False, "Sort the records on the disk, as TFDS does with 1 GB of them and more.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the scenes and of the moments.", lower_bound=0)
_SCRATCH = flags.DEFINE_string("scratch", None, "Folder for all files, which are removed. [the system's own]")


def main(argv: list[str]) -> None:
    del argv
    with tempfile.TemporaryDirectory(dir=_SCRATCH.value) as scratch:
        source = pathlib.Path(scratch) / "source"
        num_val = max(1, _NUM_IMAGES.value // 10)
        layouts.LAYOUTS[_DATASET.value](source, num_train=_NUM_IMAGES.value, num_val=num_val, seed=_SEED.value)
        undisturbed, killed = (
            Conversion(_DATASET.value, source, pathlib.Path(scratch) / name, _ON_DISK.value)
            for name in ("undisturbed", "killed")
        )
        seconds = undisturbed.finish()
        print(f"{_NUM_IMAGES.value + num_val} pictures of {_DATASET.value}: {seconds:.2f} s of work undisturbed")
        print(table(kill_over_and_over(killed, _KILLS.value, seconds, _SEED.value)))
        killed.finish()
        expected, found = undisturbed.digests(), killed.digests()
    for name in sorted({*expected, *found}):
        same = expected.get(name) == found.get(name)
        print(f"{name}: {'the same SHA-256' if same else 'DIFFERENT'}")
    if expected != found:
        raise ValueError(f"after {_KILLS.value} kills the records differ from those of an undisturbed run")
    print(f"after {_KILLS.value} kills the records are those of an undisturbed run, byte for byte")


if __name__ == "__main__":
    command_line.run(main)
