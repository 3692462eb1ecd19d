"""Kills a conversion at random moments, and checks that the records are those of an undisturbed conversion.

  python -m experiments.benchmarks.conversion_kills
  python -m experiments.benchmarks.conversion_kills --dataset=ln_coco --kills=10 --num_images=3000 --on_disk

Draws scenes in a dataset's layout and converts them undisturbed. Then it starts the same conversion repeatedly and
kills it (SIGKILL), in turns: at a random moment of its work, just after the first file of records appears, and while it
removes the files of the conversion that was killed before. A last conversion runs to its end, and the SHA-256 of every
file is compared with the undisturbed conversion's. A table shows what each kill left on the disk.
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
from xmcgan import command_line, path_flags

_DATASET = flags.DEFINE_enum("dataset", "coco2014", list(layouts.LAYOUTS), "Dataset whose layout and builder are used.")
_KILLS = flags.DEFINE_integer("kills", 10, "How many times to kill the conversion.", lower_bound=1)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 3000, "Training images to draw.", lower_bound=2)
_ON_DISK = flags.DEFINE_bool("on_disk", False, "Sort the records on the disk, as TFDS does from 1 GB on.")
_SEED = command_line.define_seed("Seed of the scenes and of the moments.")
_SCRATCH = path_flags.define_path("scratch", None, "Folder for all files, which are removed. [the system's]")

_CONVERT = """
from tensorflow_datasets.core import shuffle
from data_pipelines import convert
from xmcgan import command_line
{change}
command_line.run(convert.main)
"""
# Makes TFDS sort the records of a split on the disk once they take more than this.
_SORT_ON_DISK = "shuffle.MAX_MEM_BUFFER_SIZE = 100_000"
# Longest seconds before a kill: after the first file of records appears, and after the conversion has begun.
_WRITING, _CLEARING = 0.1, 0.01
# Attempts for each kill: some come just after the conversion has ended.
_TRIES = 5


def main(argv: list[str]) -> None:
    """Kills conversions and prints whether each file is the same."""
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
    """The state of a conversion when it was killed."""

    seconds: float  # Seconds that it had worked.
    left: str  # Description of what it left on the disk.


class Conversion:
    """A conversion that can be run repeatedly, each time in its own process.

    Attributes:
      folder: folder of the dataset's records, finished or not.
    """

    def __init__(self, dataset: str, source: pathlib.Path, data_dir: pathlib.Path, on_disk: bool = False):
        """Initializes it.

        Args:
          dataset: a key of `layouts.LAYOUTS`.
          source: folder of the dataset's source files.
          data_dir: folder of all records.
          on_disk: whether to sort even few records on the disk.
        """
        self.folder = data_dir / dataset
        code = _CONVERT.format(change=_SORT_ON_DISK if on_disk else "")
        arguments = [f"--dataset={dataset}", f"--source={source}", f"--data_dir={data_dir}"]
        self._command = [sys.executable, "-c", code, *arguments]

    def finish(self) -> float:
        """Runs it to its end.

        Returns:
          Seconds from taking the lock until the records were finished.

        Raises:
          RuntimeError: it failed; the message has its output.
        """
        with self._start() as process:
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
          seconds: seconds to let it work.
          writing: count the seconds from when it begins to write a file of records.

        Returns:
          The state in which it was killed; None if it had finished before.
        """
        old = set(self._unfinished("*.tfrecord*"))
        with self._start() as process:
            start = time.monotonic()
            while writing and process.poll() is None and not set(self._unfinished("*.tfrecord*")) - old:
                time.sleep(0.0005)
            time.sleep(seconds)
            process.kill()
            worked = time.monotonic() - start
            process.communicate()
            return None if self._is_finished() else Kill(worked, self._left())

    def digests(self) -> dict[str, str]:
        """Returns the SHA-256 of each finished file except the lock, by its path within `folder`."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name != ".lock")
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    def _start(self) -> subprocess.Popen:
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
        except FileNotFoundError:  # The running conversion removes the files of the last one.
            return []

    def _left(self) -> str:
        files = [path for path in self._unfinished("*") if path.is_file()]
        if not files:
            return "an empty folder" if any(self.folder.glob("*incomplete*")) else "nothing"
        buckets = sum(path.name.startswith("bucket") for path in files)
        kinds = [f"{buckets} sorting files"] if buckets else []
        kinds += sorted(
            {path.name.split(".")[-1].split("-0")[0] for path in files if not path.name.startswith("bucket")}
        )
        return f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB: {', '.join(kinds)}"


def kill_repeatedly(conversion: Conversion, kills: int, seconds: float, seed: int) -> list[Kill]:
    """Kills a conversion several times; each starts with what the last one left.

    Args:
      conversion: a conversion that has not finished yet.
      kills: how many times to kill it.
      seconds: seconds of work that it takes undisturbed.
      seed: seed of the moments.

    Returns:
      The state at each kill.

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
            shutil.rmtree(conversion.folder)  # It had finished: start again.
        else:
            done.append(kill)
    raise RuntimeError(f"of {_TRIES * kills} kills only {len(done)} came in time: raise --num_images")


def table(kills: Sequence[Kill]) -> str:
    """Formats the kills, one line each."""
    rows = [(number, f"{kill.seconds:.2f} s", kill.left) for number, kill in enumerate(kills, start=1)]
    return tabulate.tabulate(rows, ["kill", "after", "left on the disk"], tablefmt="plain")


if __name__ == "__main__":
    command_line.run(main)
