"""Writes scenes in the layout of LN-COCO: the folders of COCO-17, and beside them the narrative files.

train2017/%012d.jpg  val2017/%012d.jpg  annotations/instances_{train,val}2017.json
coco_train_localized_narratives-0000k-of-00004.jsonl  coco_val_localized_narratives.jsonl
(or, smaller: coco_train_captions.jsonl  coco_val_captions.jsonl)
"""

from __future__ import annotations

import functools
import os
import pathlib
from typing import NamedTuple

from data_pipelines.scenes import annotation_files, draw, narrative_files, sample
from xmcgan.files import new_folder

# Share of images with a second narrative, as published: COCO-17's 118,000 training images have 134,000 narratives.
SECOND_SHARE = 0.14


class _Split(NamedTuple):
    """The names of a split in COCO and in Localized Narratives, and the number of its narrative files."""

    folder: str
    narrative_prefix: str
    num_shards: int


_SPLITS = {"train": _Split("train2017", "coco_train", 4), "validation": _Split("val2017", "coco_val", 1)}


def write_ln_coco(
    output: str | os.PathLike,
    *,
    num_train: int,
    num_val: int,
    seed: int = 0,
    image_size: int = draw.DEFAULT_SIZE,
    num_processes: int | None = None,
    captions_only: bool = False,
) -> None:
    """Draws scenes into a folder with the layout of LN-COCO.

    The folder appears under its name only when it is complete. Its content is a pure function of the arguments, and the
    scenes are the same in all layouts.

    Args:
      output: folder to create; if it exists already, it must be empty.
      num_train: number of images in train2017, at least 1.
      num_val: number of images in val2017, at least 1.
      seed: seed of the scenes.
      image_size: pixels per side.
      num_processes: number of processes that draw in parallel; None means one per core.
      captions_only: whether to write the smaller `*_captions.jsonl`, without timed words and traces.

    Raises:
      ValueError: `num_train` or `num_val` is less than 1.
      FileExistsError: `output` is not empty.
    """
    counts = sample.counts(num_train, num_val)
    with new_folder(output) as folder:
        (folder / "annotations").mkdir()
        for split, (name, narrative_prefix, num_shards) in _SPLITS.items():
            (folder / name).mkdir()
            first_id = 1 if split == "train" else num_train + 1  # COCO's ids are unique across splits.
            narrative_split = narrative_files.NarrativeSplit(
                dataset_id=f"mscoco_{name}",
                file_prefix=narrative_prefix,
                num_shards=num_shards,
                recordings_folder=narrative_prefix,
                second_share=SECOND_SHARE,
                captions_only=captions_only,
            )
            write = functools.partial(_write_scene, folder / name, split, first_id, seed, image_size, narrative_split)
            annotated = []
            with narrative_files.shards(folder, narrative_split) as shards:
                for entry, lines in draw.each_scene(write, counts[split], num_processes, title=name):
                    annotated.append(entry)
                    shards.add(lines)
            annotation_files.write_instances(folder / "annotations" / f"instances_{name}.json", annotated, 2017)


def _write_scene(
    folder: pathlib.Path,
    split: str,
    first_id: int,
    seed: int,
    image_size: int,
    narrative_split: narrative_files.NarrativeSplit,
    index: int,
) -> tuple[annotation_files.Annotated, list[str]]:
    """Draws one scene; returns its annotations and the lines of its narratives."""
    scene = sample.sample_scene(seed, split, index)
    image_id = first_id + index
    file_name = f"{image_id:012d}.jpg"
    draw.write_image(scene, folder / file_name, image_size)
    annotated = annotation_files.annotate(scene, image_id, file_name, 2017, image_size)
    return annotated, narrative_files.lines(narrative_split, scene, str(image_id))
