"""Scenes in the layout of LN-COCO: the images of COCO-17 with the files of Localized Narratives in the root folder.

train2017/%012d.jpg  val2017/%012d.jpg  annotations/instances_{train,val}2017.json
coco_train_localized_narratives-0000k-of-00004.jsonl  coco_val_localized_narratives.jsonl
or, in the lighter form, coco_train_captions.jsonl  coco_val_captions.jsonl
"""

from __future__ import annotations

import functools
import os
import pathlib
from typing import NamedTuple

from data_pipelines.scenes import annotation_files, draw, narrative_files, sample
from xmcgan.files import new_folder

# COCO's 118,000 training images have 134,000 narratives.
SECOND_SHARE = 0.14


class _Split(NamedTuple):
    """Names of a split in COCO and in Localized Narratives, and how many files its narratives are split into."""

    folder: str
    narratives: str
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
    """Draws scenes into a folder laid out like LN-COCO.

    The folder appears under its name only when it is whole. The scenes are those of the other layouts.

    Args:
      output: folder to make; must not exist yet, or be empty.
      num_train: images of train2017, at least 1.
      num_val: images of val2017, at least 1.
      seed: of the scenes; what is written is a pure function of the arguments.
      image_size: pixels a side.
      num_processes: that draw in parallel; None: one a core.
      captions_only: write the lighter `*_captions.jsonl`, without timed words and traces.

    Raises:
      ValueError: `num_train` or `num_val` is less than 1.
      FileExistsError: `output` holds something.
    """
    counts = sample.counts(num_train, num_val)
    with new_folder(output) as folder:
        (folder / "annotations").mkdir()
        for split, (name, narratives, num_shards) in _SPLITS.items():
            (folder / name).mkdir()
            first_id = 1 if split == "train" else num_train + 1  # COCO never gives an id twice, whatever the split.
            collection = narrative_files.Collection(
                dataset_id=f"mscoco_{name}",
                files=narratives,
                num_shards=num_shards,
                recordings=narratives,
                second_share=SECOND_SHARE,
                captions_only=captions_only,
            )
            write = functools.partial(_write_scene, folder / name, split, first_id, seed, image_size, collection)
            annotated = []
            with narrative_files.shards(folder, collection) as shards:
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
    collection: narrative_files.Collection,
    index: int,
) -> tuple[annotation_files.Annotated, list[str]]:
    """Draws one scene; gives its annotations and the lines of its narratives."""
    scene = sample.sample_scene(seed, split, index)
    image_id = first_id + index
    file_name = f"{image_id:012d}.jpg"
    draw.write_image(scene, folder / file_name, image_size)
    annotated = annotation_files.annotate(scene, image_id, file_name, 2017, image_size)
    return annotated, narrative_files.lines(collection, scene, str(image_id))
