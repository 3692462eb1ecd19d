"""Writes scenes in the layout of COCO-14.

train2014/COCO_train2014_%012d.jpg  val2014/COCO_val2014_%012d.jpg
annotations/{captions,instances}_{train,val}2014.json
"""

from __future__ import annotations

import functools
import os
import pathlib

from data_pipelines.scenes import annotation_files, describe, draw, sample
from xmcgan.files import new_folder

# Names of folders and files, by split.
_SPLITS = {"train": "train2014", "validation": "val2014"}


def write_coco2014(
    output: str | os.PathLike,
    *,
    num_train: int,
    num_val: int,
    seed: int = 0,
    image_size: int = draw.DEFAULT_SIZE,
    num_processes: int | None = None,
) -> None:
    """Draws scenes into a folder with the layout of COCO 2014.

    The folder appears under its name only when it is complete. Its content is a pure function of the arguments.

    Args:
      output: folder to create; if it exists already, it must be empty.
      num_train: number of images in train2014, at least 1.
      num_val: number of images in val2014, at least 1.
      seed: seed of the scenes.
      image_size: pixels per side.
      num_processes: number of processes that draw in parallel; None means one per core.

    Raises:
      ValueError: `num_train` or `num_val` is less than 1.
      FileExistsError: `output` is not empty.
    """
    counts = sample.counts(num_train, num_val)
    with new_folder(output) as folder:
        (folder / "annotations").mkdir()
        for split, name in _SPLITS.items():
            (folder / name).mkdir()
            first_id = 1 if split == "train" else num_train + 1  # COCO's ids are unique across splits.
            write = functools.partial(_write_scene, folder / name, split, first_id, seed, image_size)
            annotated, captions = zip(*draw.each_scene(write, counts[split], num_processes, title=name))
            annotations = folder / "annotations"
            annotation_files.write_captions(annotations / f"captions_{name}.json", annotated, captions, 2014)
            annotation_files.write_instances(annotations / f"instances_{name}.json", annotated, 2014)


def _write_scene(
    folder: pathlib.Path, split: str, first_id: int, seed: int, image_size: int, index: int
) -> tuple[annotation_files.Annotated, list[str]]:
    """Draws one scene; returns its annotations and captions."""
    scene = sample.sample_scene(seed, split, index)
    image_id = first_id + index
    file_name = f"COCO_{folder.name}_{image_id:012d}.jpg"
    draw.write_image(scene, folder / file_name, image_size)
    return annotation_files.annotate(scene, image_id, file_name, 2014, image_size), describe.describe(scene)
