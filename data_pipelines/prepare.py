"""Prepares the records of a dataset, atomically and only once."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import datasets, own_datasets, packaged_networks, records
from data_pipelines.builders.captioned_images import CaptionedImages
from data_pipelines.builders.image_builder import ImageBuilder
from data_pipelines.scenes import bert, layouts
from xmcgan import console, handles
from xmcgan.config import Config
from xmcgan.files import matching, named_errors
from xmcgan.literal_paths import literal_folder
from xmcgan.locks import locked

_TEXT_MODEL, _TEXT_MODEL_STEPS = "scenes:bert", 800
# Matches the names of unfinished folders, ours and those of TFDS. Older versions of TFDS put 'incomplete' at the end.
_REMNANTS = "*incomplete*"


def convert(
    dataset: str,
    source: str | os.PathLike,
    data_dir: str | os.PathLike,
    max_skipped: float = 0.01,
    beam_runner: str | None = None,
    beam_options: Sequence[str] = (),
) -> bool:
    """Converts published files into records, unless they have been converted already.

    The records appear under their name only when they are complete. What an interrupted run left behind is removed.

    Args:
      dataset: name of the dataset.
      source: folder with the files as published.
      data_dir: folder of all records.
      max_skipped: largest share of a split's images, or of its captions, that may be left out as unusable, 0 .. 1.
      beam_runner: name of an Apache Beam runner, such as 'DirectRunner'. If None, the conversion runs without
        Beam, on all cores of this machine.
      beam_options: options of the Beam pipeline, as on its command line.

    Returns:
      Whether anything had to be converted.

    Raises:
      FileNotFoundError: a file of the source is missing.
      ValueError: the source's annotations cannot be read, or too many of its images or captions cannot be used.
      OSError: the disk does not have enough free space.
    """
    return _make_once(
        dataset, data_dir, lambda folder: _build(dataset, source, folder, max_skipped, beam_runner, beam_options)
    )


def convert_own(
    name: str,
    source: str | os.PathLike,
    data_dir: str | os.PathLike,
    max_skipped: float = 0.01,
    beam_runner: str | None = None,
    beam_options: Sequence[str] = (),
    **options: Any,
) -> bool:
    """Converts a user's own images with captions into a dataset of the name that the user gives; see `convert`.

    Args:
      name: of the dataset.
      source: folder with images and captions, in one of the layouts of `data_pipelines.layouts`.
      data_dir: see `convert`.
      max_skipped: see `convert`.
      beam_runner: see `convert`.
      beam_options: see `convert`.
      **options: further arguments of `CaptionedImages`.

    Returns:
      Whether anything had to be converted.

    Raises:
      FileExistsError: a dataset of another kind has this name.
      FileNotFoundError, OSError: see `convert`.
      ValueError: the name or the layout cannot be used, a table cannot be read, or too many images cannot be used.
    """
    own_datasets.check_name(name, datasets.TAKEN)
    builder = functools.partial(CaptionedImages, **options)
    return _make_once(
        name,
        data_dir,
        lambda folder: _build(name, source, folder, max_skipped, beam_runner, beam_options, builder),
    )


def prepare_scenes(
    data_dir: str | os.PathLike, *, num_train: int = 12_000, num_val: int = 500, seed: int = 0, image_size: int = 128
) -> bool:
    """Draws and converts the scenes, unless they have been converted already.

    Args:
      data_dir: folder of all records.
      num_train: number of training images.
      num_val: number of validation images.
      seed: seed of the scenes.
      image_size: pixels per side.

    Returns:
      Whether scenes had to be drawn. Existing scenes are kept, whatever their number.
    """

    def draw_and_build(folder: epath.Path) -> None:
        source = folder / "incomplete.source"
        layouts.write_coco2014(source, num_train=num_train, num_val=num_val, seed=seed, image_size=image_size)
        _build("scenes", source, folder, max_skipped=0.0)
        source.rmtree()

    return _make_once("scenes", data_dir, draw_and_build)


def prepare_for(config: Config, data_dir: str | os.PathLike) -> None:
    """Prepares whatever an experiment needs that this package makes itself: the scenes and their text encoder.

    Args:
      config: the experiment.
      data_dir: folder of all records.
    """
    text_model = config.text.encoder.startswith(_TEXT_MODEL)
    if text_model or datasets.is_drawn(config.dataset):
        prepare_scenes(data_dir)
    if text_model:
        prepare_text_model(data_dir)


def text_model_folder(data_dir: str | os.PathLike) -> str:
    """Returns the folder of the scenes' small BERT; its subfolders are 'preprocessor' and 'encoder'."""
    return handles.resolve(_TEXT_MODEL, data_dir)


def prepare_text_model(data_dir: str | os.PathLike, *, seed: int = 0, steps: int | None = None) -> bool:
    """Provides the scenes' small BERT: that of the package if it has one, or one trained on their training captions.

    Args:
      data_dir: folder of all records, including those of the scenes.
      seed: seed of the pre-training.
      steps: steps of the pre-training, if it shall be trained here; None for the package's BERT, or else 800 steps.

    Returns:
      Whether it had to be provided.
    """
    output = text_model_folder(data_dir)
    if bert.is_built(output):  # Nothing is written then, as on a read-only disk.
        return False
    with lock_dataset("scenes", data_dir):
        if bert.is_built(output):
            return False
        if steps is None and packaged_networks.copy(_TEXT_MODEL, data_dir):
            return True
        with console.quiet_libraries():
            examples = records.open_dataset("scenes", data_dir).as_dataset(split="train").as_numpy_iterator()
        captions = [[caption.decode() for caption in example["captions"]] for example in examples]
        bert.build(captions, output, seed=seed, steps=steps or _TEXT_MODEL_STEPS)
        return True


def _build(
    dataset: str,
    source: str | os.PathLike,
    folder: epath.Path,
    max_skipped: float,
    beam_runner: str | None = None,
    beam_options: Sequence[str] = (),
    builder_class: Callable[..., ImageBuilder] | None = None,
) -> None:
    parent = os.fspath(folder.parent)
    builder = (builder_class or datasets.get(dataset).builder())(
        name=dataset,
        source=source,
        max_skipped=max_skipped,
        use_beam=beam_runner is not None,
        data_dir=parent if beam_runner is None else literal_folder(parent),  # Beam takes paths for patterns.
    )
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    if beam_runner is not None:
        config = config.replace(beam_runner=beam_runner, beam_options=pipeline_options(beam_runner, beam_options))
    tfds.disable_progress_bar()  # The builders show their own bar, which knows the total.
    with (
        tempfile.TemporaryDirectory() as downloads,  # TFDS needs this folder, although nothing is downloaded.
        contextlib.redirect_stdout(io.StringIO()),  # TFDS would print that it is downloading.
        console.quiet_libraries(),
    ):
        builder.download_and_prepare(download_dir=downloads, download_config=config)


def pipeline_options(runner: str, options: Sequence[str]) -> object:
    """Returns the options of a Beam pipeline.

    Args:
      runner: see `convert`.
      options: see `convert`.

    Raises:
      ValueError: Beam is not installed, or does not know the runner or the value of an option.
    """
    try:
        with console.quiet_libraries():
            from apache_beam import runners
            from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ValueError("--beam_runner needs Apache Beam: pip install 'xmcgan[beam]'") from error
    said = io.StringIO()
    try:
        with console.quiet_libraries(), contextlib.redirect_stderr(said):
            runners.create_runner(runner)
            parsed = PipelineOptions(list(options))
            parsed.get_all_options()
    except (AttributeError, ImportError, ValueError) as error:
        raise ValueError(f"--beam_runner={runner} cannot be used: {error}") from error
    except SystemExit as error:  # Its parser prints all options, and the error last.
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(f"--beam_options={' '.join(options)}: {reason}") from error
    return parsed


def _make_once(dataset: str, data_dir: str | os.PathLike, make: Callable[[epath.Path], None]) -> bool:
    """Calls `make` with the folder `<data_dir>/<dataset>` unless the records exist; returns whether it called `make`.

    Two processes never make the same records: the second one waits, and then finds them. The lock of a killed process
    is released immediately, and what that process left behind is removed.
    """
    if records.is_converted(dataset, data_dir):
        return False
    with lock_dataset(dataset, data_dir) as folder:
        if records.is_converted(dataset, data_dir):
            return False
        target = records.directory(dataset, data_dir)
        if target.exists():  # No conversion leaves such a folder, but TFDS would consider it finished.
            raise FileExistsError(f"{target} holds no finished records: remove it, or choose another --data_dir")
        for remnant in matching(folder, _REMNANTS):
            remnant.rmtree()
        with named_errors(folder):
            try:
                make(folder)
            except OSError as error:
                if str(error).startswith("Not enough disk space"):  # TFDS does not say where.
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
                raise
    return True


@contextlib.contextmanager
def lock_dataset(dataset: str, data_dir: str | os.PathLike) -> Iterator[epath.Path]:
    """Locks the folder `<data_dir>/<dataset>` and yields it, see `locked`.

    Locking writes to the folder, so first find out whether anything has to be made: prepared data may be read-only.
    """
    with locked(records.directory(dataset, data_dir).parent) as folder:
        yield folder
