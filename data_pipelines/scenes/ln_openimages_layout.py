"""Scenes in the layout of LN-OpenImages: images of Open Images with the files of Localized Narratives.

train_<first digit of the id>/<id>.jpg  validation/<id>.jpg  (or train_<digit>.tar.gz  validation.tar.gz)
open_images_train_v6_localized_narratives-0000k-of-00010.jsonl  open_images_validation_localized_narratives.jsonl
or, in the lighter form, open_images_train_v6_captions.jsonl  open_images_validation_captions.jsonl
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

# The 504,000 training images of Open Images with narratives have 507,000 of them.
SECOND_SHARE = 0.006
_HEX_DIGITS = "0123456789abcdef"


class _Split(NamedTuple):
    """Folders of a split, its id and the names of its files in Localized Narratives, and how many files they are."""

    folders: tuple[str, ...]
    dataset_id: str
    narratives: str
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
    """Draws scenes into a folder laid out like LN-OpenImages.

    The folder appears under its name only when it is whole. The scenes are those of the other layouts.

    Args:
      output: folder to make; must not exist yet, or be empty.
      num_train: images of the training split, at least 1.
      num_val: images of the validation split, at least 1.
      seed: of the scenes and of the ids; what is written is a pure function of the arguments.
      image_size: pixels a side.
      num_processes: that draw in parallel; None: one a core.
      captions_only: write the lighter `*_captions.jsonl`, without timed words and traces.
      archives: put the images into one .tar.gz for each folder, as Open Images distributes them.

    Raises:
      ValueError: `num_train` or `num_val` is less than 1.
      FileExistsError: `output` holds something.
    """
    counts = sample.counts(num_train, num_val)
    with new_folder(output) as folder:
        for split, (image_folders, dataset_id, narratives, num_shards) in _SPLITS.items():
            for name in image_folders:
                (folder / name).mkdir()
            collection = narrative_files.Collection(
                dataset_id=dataset_id,
                files=narratives,
                num_shards=num_shards,
                recordings=dataset_id,
                second_share=SECOND_SHARE,
                captions_only=captions_only,
            )
            write = functools.partial(_write_scene, folder, split, seed, image_size, collection)
            with narrative_files.shards(folder, collection) as shards:
                for lines in draw.each_scene(write, counts[split], num_processes, title=split):
                    shards.add(lines)
            if archives:
                for name in image_folders:
                    _pack(folder / name)


def image_id(seed: int, split: str, index: int) -> str:
    """The id of an image: 16 hexadecimal digits that look random; no two images of a seed share theirs."""
    # Each step permutes the 64-bit numbers (SplitMix64), so different images cannot meet.
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
    collection: narrative_files.Collection,
    index: int,
) -> list[str]:
    """Draws one scene; gives the lines of its narratives."""
    scene = sample.sample_scene(seed, split, index)
    identity = image_id(seed, split, index)
    folder_name = "validation" if split == "validation" else f"train_{identity[0]}"
    draw.write_image(scene, folder / folder_name / f"{identity}.jpg", image_size)
    return narrative_files.lines(collection, scene, identity)


def _pack(folder: pathlib.Path) -> None:
    """Replaces a folder by `<folder>.tar.gz`, whose bytes tell neither when nor by whom it was made."""
    # Level 1: JPEG files hardly shrink, whatever the effort.
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
