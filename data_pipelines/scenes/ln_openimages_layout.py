"""Writes scenes in the layout of LN-OpenImages: the images of Open Images and the narrative files.

train_<first digit of the id>/<id>.jpg  validation/<id>.jpg  (or train_<digit>.tar.gz  validation.tar.gz)
open_images_train_v6_localized_narratives-0000k-of-00010.jsonl  open_images_validation_localized_narratives.jsonl
or the smaller open_images_train_v6_captions.jsonl  open_images_validation_captions.jsonl
"""

from __future__ import annotations

import functools
import gzip
import os
import pathlib
import shutil
import tarfile
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes import draw, narrative_files, sample
from xmcgan.files import new_folder

# Share of images with a second narrative: Open Images has 507,000 narratives of 504,000 training images.
SECOND_SHARE = 0.006
_HEX_DIGITS = "0123456789abcdef"


class _Split(NamedTuple):
    """The folders of a split, its id and file names in Localized Narratives, and the number of its narrative files."""

    folders: tuple[str, ...]
    dataset_id: str
    narrative_prefix: str
    num_shards: int


_SPLITS = {
    "train": _Split(
        tuple(f"train_{digit}" for digit in _HEX_DIGITS), "open_images_train", "open_images_train_v6", num_shards=10
    ),
    "validation": _Split(("validation",), "open_images_validation", "open_images_validation", num_shards=1),
}


def write_ln_openimages(
    output: str | os.PathLike,
    *,
    num_train: int,
    num_val: int,
    seed: int = 0,
    image_size: int = draw.DEFAULT_SIZE,
    num_processes: int | None = None,
    captions_only: bool = False,
    archives: bool = False,
) -> None:
    """Draws scenes into a folder with the layout of LN-OpenImages.

    The folder appears under its name only when it is complete. Its content is a pure function of the arguments, and the
    scenes are the same in all layouts.

    Args:
      output: folder to create; if it exists already, it must be empty.
      num_train: number of images in the training split, at least 1.
      num_val: number of images in the validation split, at least 1.
      seed: seed of the scenes and of the ids.
      image_size: pixels per side.
      num_processes: number of processes that draw in parallel; None means one per core.
      captions_only: write the smaller `*_captions.jsonl`, without timed words and traces.
      archives: pack the images into one .tar.gz for each folder, as Open Images distributes them.

    Raises:
      ValueError: `num_train` or `num_val` is less than 1.
      FileExistsError: `output` is not empty.
    """
    counts = sample.counts(num_train, num_val)
    with new_folder(output) as folder:
        for split, (image_folders, dataset_id, narrative_prefix, num_shards) in _SPLITS.items():
            for name in image_folders:
                (folder / name).mkdir()
            narrative_split = narrative_files.NarrativeSplit(
                dataset_id=dataset_id,
                file_prefix=narrative_prefix,
                num_shards=num_shards,
                recordings_folder=dataset_id,
                second_share=SECOND_SHARE,
                captions_only=captions_only,
            )
            write = functools.partial(_write_scene, folder, split, seed, image_size, narrative_split)
            with narrative_files.shards(folder, narrative_split) as shards:
                for lines in draw.each_scene(write, counts[split], num_processes, title=split):
                    shards.add(lines)
            if archives:
                for name in image_folders:
                    _pack(folder / name)


def image_id(seed: int, split: str, index: int) -> str:
    """Returns the id of an image: 16 hexadecimal digits that look random, and are unique among the images of a seed."""
    # Each step permutes the 64-bit numbers (SplitMix64), so different images have different ids.
    start = int(np.random.default_rng([seed, 5]).integers(2**63))
    number = (start + 0x9E3779B97F4A7C15 * (len(sample.SPLITS) * index + sample.SPLITS.index(split))) % 2**64
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    number = (number ^ number >> 27) * 0x94D049BB133111EB % 2**64
    return f"{number ^ number >> 31:016x}"


def _write_scene(
    folder: pathlib.Path,
    split: str,
    seed: int,
    image_size: int,
    narrative_split: narrative_files.NarrativeSplit,
    index: int,
) -> list[str]:
    """Draws one scene; returns the lines of its narratives."""
    scene = sample.sample_scene(seed, split, index)
    identity = image_id(seed, split, index)
    folder_name = "validation" if split == "validation" else f"train_{identity[0]}"
    draw.write_image(scene, folder / folder_name / f"{identity}.jpg", image_size)
    return narrative_files.lines(narrative_split, scene, identity)


def _pack(folder: pathlib.Path) -> None:
    """Replaces a folder by `<folder>.tar.gz`, reproducibly: the archive records neither times nor users."""
    # Compression level 1, because JPEG files hardly shrink at any level.
    with (
        open(f"{folder}.tar.gz", "wb") as file,
        gzip.GzipFile("", "wb", 1, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path in sorted(folder.iterdir()):
            member = tarfile.TarInfo(f"{folder.name}/{path.name}")
            member.size = path.stat().st_size
            with open(path, "rb") as image:
                archive.addfile(member, image)
    shutil.rmtree(folder)
