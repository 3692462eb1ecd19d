"""Makes the records of a dataset, once and whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

import tensorflow_datasets as tfds

from data_pipelines import records
from data_pipelines.builders import coco2014
from data_pipelines.scenes import bert, layouts

BUILDERS = {"coco2014": coco2014.Coco2014, "scenes": coco2014.Scenes}
# How the names of unfinished folders begin: those of TFDS, and ours.
_REMNANT = "incomplete."


def convert(dataset: str, source: str | os.PathLike, data_dir: str | os.PathLike, max_skipped: float = 0.01) -> bool:
    """Turns raw data into records; does nothing if that has been done.

    The records appear under their name only when they are whole. What a killed conversion left is removed.

    Args:
      dataset: a key of `BUILDERS`.
      source: folder with the raw data, in its owner's layout.
      data_dir: folder of all records.
      max_skipped: largest share of a split's pictures that may be left out as unfit, 0 .. 1.

    Returns:
      Whether there was anything to do.

    Raises:
      FileNotFoundError: the source is not all there.
      ValueError: the source's annotations cannot be read, or too many of its pictures are unfit.
    """
    return _once(dataset, data_dir, lambda folder: _build(dataset, source, folder, max_skipped))


def prepare_scenes(
    data_dir: str | os.PathLike, *, num_train: int = 12_000, num_val: int = 500, seed: int = 0, image_size: int = 128
) -> bool:
    """Draws scenes and converts them, on first use.

    Args:
      data_dir: folder of all records.
      num_train: training pictures.
      num_val: validation pictures.
      seed: of the scenes.
      image_size: pixels a side.

    Returns:
      Whether there was anything to do: existing scenes are kept, whatever their number.
    """

    def draw_and_build(folder: pathlib.Path) -> None:
        source = folder / f"{_REMNANT}source"
        layouts.write_coco2014(source, num_train=num_train, num_val=num_val, seed=seed, image_size=image_size)
        _build("scenes", source, folder, max_skipped=0.0)
        shutil.rmtree(source)

    return _once("scenes", data_dir, draw_and_build)


def text_model_folder(data_dir: str | os.PathLike) -> str:
    """Where the small BERT of the scenes is, or will be: the folders 'preprocessor' and 'encoder' in there."""
    return os.fspath(records.directory("scenes", data_dir).parent / "bert")


def prepare_text_model(data_dir: str | os.PathLike, *, seed: int = 0, steps: int = 800) -> bool:
    """Learns the small BERT of the scenes from their training captions, on first use.

    Args:
      data_dir: folder of all records, those of the scenes among them.
      seed: of the pre-training.
      steps: of the pre-training.

    Returns:
      Whether there was anything to do.
    """
    output = text_model_folder(data_dir)
    with _alone("scenes", data_dir):
        if bert.is_built(output):
            return False
        examples = records.open_dataset("scenes", data_dir).as_dataset(split="train").as_numpy_iterator()
        captions = [[caption.decode() for caption in example["captions"]] for example in examples]
        bert.build(captions, output, seed=seed, steps=steps)
        return True


def _build(dataset: str, source: str | os.PathLike, folder: pathlib.Path, max_skipped: float) -> None:
    tfds.disable_progress_bar()  # The builders show one that knows how much is left.
    builder = BUILDERS[dataset](source=source, max_skipped=max_skipped, data_dir=os.fspath(folder.parent))
    with tempfile.TemporaryDirectory() as downloads:  # TFDS makes this folder, though nothing is fetched.
        builder.download_and_prepare(
            download_dir=downloads, download_config=tfds.download.DownloadConfig(try_download_gcs=False)
        )


def _once(dataset: str, data_dir: str | os.PathLike, make: Callable[[pathlib.Path], None]) -> bool:
    """Has `make` put the records into the folder `<data_dir>/<dataset>`, unless they are there; says whether it had to.

    Two processes never make the same records: the second one waits, and then finds the work done. The lock of a
    killed process is free at once, and what it left is cleared away.
    """
    if records.is_converted(dataset, data_dir):
        return False
    with _alone(dataset, data_dir) as folder:
        if records.is_converted(dataset, data_dir):
            return False
        for remnant in folder.glob(f"{_REMNANT}*"):
            shutil.rmtree(remnant)
        make(folder)
    return True


@contextlib.contextmanager
def _alone(dataset: str, data_dir: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Holds the folder `<data_dir>/<dataset>` against other processes."""
    folder = records.directory(dataset, data_dir).parent
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
