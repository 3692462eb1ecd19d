"""Proof that a conversion may be killed at any moment: the records come out as if nothing had happened.

  python -m experiments.benchmarks.conversion_kills
  python -m experiments.benchmarks.conversion_kills --dataset=ln_coco --kills=10 --num_images=3000 --on_disk

Draws scenes in a dataset's layout and converts them undisturbed. Then it starts the same conversion over and over and
kills it (SIGKILL), by turns: at a random moment of its work, just after the first file of records appears, and while it
clears away what the one before it left. A last run is left alone, and every file's SHA-256 is held against the
undisturbed run's. A table tells what each kill left on the disk.
"""

from __future__ import annotations

import hashlib
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

import tabulate
from absl import flags

from data_pipelines.scenes import layouts
from xmcgan import command_line

_DATASET = flags.DEFINE_enum("dataset", "coco2014", list(layouts.LAYOUTS), "Whose layout and builder to take.")
_KILLS = flags.DEFINE_integer("kills", 10, "How many times to kill the conversion.", lower_bound=1)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 3000, "Training images to draw.", lower_bound=2)
_ON_DISK = flags.DEFINE_bool("on_disk", False, "Sort the records on the disk, as TFDS does with 1 GB of them and more.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the scenes and of the moments.", lower_bound=0)
_SCRATCH = flags.DEFINE_string("scratch", None, "Folder for all files, which are removed. [the system's own]")

_CONVERT = """
from tensorflow_datasets.core import shuffle
from data_pipelines import convert
from xmcgan import command_line
{change}
command_line.run(convert.main)
"""
# Sorts the records of a split on the disk once they take more than this.
_FEW_BYTES = "shuffle.MAX_MEM_BUFFER_SIZE = 100_000"
# Seconds within which a conversion is killed after its first file of records appears, or after it has begun.
_WRITING, _CLEARING = 0.1, 0.01
# Tries for each kill: some come when the conversion has just ended.
_TRIES = 5


def main(argv: list[str]) -> None:
    """Proves it, or says which file differs."""
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
        print(f"{_NUM_IMAGES.value + num_val} images of {_DATASET.value}: {seconds:.2f} s of work undisturbed")
        print(table(kill_repeatedly(killed, _KILLS.value, seconds, _SEED.value)))
        killed.finish()
        expected, found = undisturbed.digests(), killed.digests()
    for name in sorted({*expected, *found}):
        same = expected.get(name) == found.get(name)
        print(f"{name}: {'the same SHA-256' if same else 'DIFFERENT'}")
    if expected != found:
        raise ValueError(f"after {_KILLS.value} kills the records differ from those of an undisturbed run")
    print(f"after {_KILLS.value} kills the records are those of an undisturbed run, byte for byte")


class Kill(NamedTuple):
    """What a killed conversion had done."""

    seconds: float  # Of work.
    left: str  # On the disk, in words.


class Conversion:
    """A conversion that can be run in a process of its own, again and again.

    Attributes:
      folder: of the dataset's records, finished or not.
    """

    def __init__(self, dataset: str, source: pathlib.Path, data_dir: pathlib.Path, on_disk: bool = False):
        """Initializes it.

        Args:
          dataset: a key of `layouts.LAYOUTS`.
          source: its files.
          data_dir: folder of all records.
          on_disk: have even few records sorted on the disk.
        """
        self.folder = data_dir / dataset
        code = _CONVERT.format(change=_FEW_BYTES if on_disk else "")
        flags_of_it = [f"--dataset={dataset}", f"--source={source}", f"--data_dir={data_dir}"]
        self._command = [sys.executable, "-c", code, *flags_of_it]

    def finish(self) -> float:
        """Runs it to its end.

        Returns:
          Seconds from when it had the lock until the records were there.

        Raises:
          RuntimeError: it failed; with what it printed.
        """
        with self._at_work() as process:
            start = time.monotonic()
            while process.poll() is None and not self._is_finished():
                time.sleep(0.001)
            worked = time.monotonic() - start
            output, _ = process.communicate()
            if process.returncode:
                raise RuntimeError(f"the conversion failed:\n{output}")
            return worked

    def kill(self, seconds: float, writing: bool = False) -> Kill | None:
        """Runs it for a while and kills it.

        Args:
          seconds: to let it work.
          writing: count them from when it begins to write a file of records.

        Returns:
          What it had done; None if it came to its end before.
        """
        old = set(self._unfinished("*.tfrecord*"))
        with self._at_work() as process:
            start = time.monotonic()
            while writing and process.poll() is None and not set(self._unfinished("*.tfrecord*")) - old:
                time.sleep(0.0005)
            time.sleep(seconds)
            process.kill()
            worked = time.monotonic() - start
            process.communicate()
            return None if self._is_finished() else Kill(worked, self._left())

    def digests(self) -> dict[str, str]:
        """SHA-256 of each finished file by its path within `folder`; of all but the lock."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    def _at_work(self) -> subprocess.Popen:
        """Starts the process, and waits until it has taken the lock."""
        lock = self.folder / ".lock"
        before = lock.stat().st_mtime_ns if lock.exists() else 0
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while process.poll() is None and not (lock.exists() and lock.stat().st_mtime_ns > before):
            time.sleep(0.001)
        return process

    def _is_finished(self) -> bool:
        return any(self.folder.glob("[0-9]*/dataset_info.json"))

    def _unfinished(self, pattern: str) -> list[pathlib.Path]:
        try:
            return list(self.folder.glob(f"*incomplete*/{pattern}"))
        except FileNotFoundError:  # A conversion at work clears away what the last one left.
            return []

    def _left(self) -> str:
        files = [path for path in self._unfinished("*") if path.is_file()]
        if not files:
            return "an empty folder" if any(self.folder.glob("*incomplete*")) else "nothing"
        buckets = sum(path.name.startswith("bucket") for path in files)
        kinds = [f"{buckets} files of sorting"] if buckets else []
        kinds += sorted(
            {path.name.split(".")[-1].split("-0")[0] for path in files if not path.name.startswith("bucket")}
        )
        return f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB: {', '.join(kinds)}"


def kill_repeatedly(conversion: Conversion, kills: int, seconds: float, seed: int) -> list[Kill]:
    """Kills a conversion so many times, each of which starts where the last one was killed.

    Args:
      conversion: not yet finished.
      kills: how many times.
      seconds: of work that it takes undisturbed.
      seed: of the moments.

    Returns:
      What each had done.

    Raises:
      RuntimeError: most kills came too late.
    """
    rng = random.Random(seed)
    done: list[Kill] = []
    for _ in range(_TRIES * kills):
        if len(done) == kills:
            return done
        kill = [
            lambda: conversion.kill(rng.uniform(0, seconds)),
            lambda: conversion.kill(rng.uniform(0, _WRITING), writing=True),
            lambda: conversion.kill(rng.uniform(0, _CLEARING)),
        ][len(done) % 3]()
        if kill is None:
            shutil.rmtree(conversion.folder)  # It had come to its end: start again.
        else:
            done.append(kill)
    raise RuntimeError(f"of {_TRIES * kills} kills only {len(done)} came in time: take more images")


def table(kills: Sequence[Kill]) -> str:
    """One line a kill."""
    rows = [(number, f"{kill.seconds:.2f} s", kill.left) for number, kill in enumerate(kills, start=1)]
    return tabulate.tabulate(rows, ["kill", "after", "left on the disk"], tablefmt="plain")


if __name__ == "__main__":
    command_line.run(main)
