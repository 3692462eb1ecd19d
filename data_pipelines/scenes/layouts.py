"""Writes scenes to disk in the exact layout of a published dataset, so that its converter runs on them.

COCO-14: `train2014/COCO_train2014_%012d.jpg`, `val2014/...`, `annotations/{captions,instances}_{train,val}2014.json`.
"""

from __future__ import annotations

import functools
import itertools
import json
import multiprocessing
import os
import pathlib
import shutil
from typing import Any

import tqdm

from data_pipelines.scenes import describe, draw, sample, spec

# COCO's folder and file names by split of `sample`.
_COCO_SPLITS = {"train": "train2014", "validation": "val2014"}
_JPEG_QUALITY = 95
_DATE = "2014-01-01 00:00:00"
_LICENSE = {"id": 1, "name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
_INFO = {
    "description": "Drawn scenes in the layout of COCO 2014",
    "url": "",
    "version": "1.0",
    "year": 2014,
    "contributor": "data_pipelines.scenes",
    "date_created": _DATE,
}
_CATEGORIES = [{"supercategory": "object", "id": number, "name": kind} for number, kind in enumerate(spec.KINDS, 1)]


def write_coco2014(
    output: str | os.PathLike,
    *,
    num_train: int,
    num_val: int,
    seed: int = 0,
    image_size: int = draw.DEFAULT_SIZE,
    num_processes: int | None = None,
) -> None:
    """Draws scenes into a folder laid out like COCO 2014.

    The folder appears under its name only when it is whole.

    Args:
      output: folder to make; must not exist yet, or be empty.
      num_train: pictures of train2014, at least 1.
      num_val: pictures of val2014, at least 1.
      seed: of the scenes; what is written is a pure function of the arguments.
      image_size: pixels a side.
      num_processes: that draw in parallel; None: one a core.

    Raises:
      ValueError: `num_train` or `num_val` is less than 1.
      FileExistsError: `output` holds something.
    """
    if num_train < 1 or num_val < 1:
        raise ValueError(f"num_train={num_train}, num_val={num_val}: draw at least one scene for each split")
    output = pathlib.Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(f"{output} exists and is not empty: name another folder, or remove it first")
    unfinished = output.with_name(output.name + ".incomplete")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "annotations").mkdir(parents=True)
    for split, count in (("train", num_train), ("validation", num_val)):
        first_id = 1 if split == "train" else num_train + 1  # COCO never gives an id twice, whatever the split.
        _write_split(unfinished, split, count, first_id, seed, image_size, num_processes or os.cpu_count() or 1)
    unfinished.replace(output)


def _write_split(
    folder: pathlib.Path, split: str, count: int, first_id: int, seed: int, image_size: int, num_processes: int
) -> None:
    name = _COCO_SPLITS[split]
    (folder / name).mkdir()
    write = functools.partial(_write_scene, folder / name, split, first_id, seed, image_size)
    # Forked workers run nothing but NumPy and Pillow, and start at once even under a program that imports TensorFlow.
    with multiprocessing.get_context("fork").Pool(num_processes) as pool:
        mapped = pool.imap(write, range(count), chunksize=16)
        scenes = list(tqdm.tqdm(mapped, total=count, desc=f"drawing {name}", unit="picture", disable=None))
    images = [image for image, _, _ in scenes]
    caption_ids, instance_ids = itertools.count(5 * first_id), itertools.count(3 * first_id)
    captions = [
        {"image_id": image["id"], "id": next(caption_ids), "caption": caption}
        for image, captions, _ in scenes
        for caption in captions
    ]
    instances = [
        {**instance, "image_id": image["id"], "id": next(instance_ids)}
        for image, _, instances in scenes
        for instance in instances
    ]
    head = {"info": _INFO, "images": images, "licenses": [_LICENSE]}
    annotations = folder / "annotations"
    (annotations / f"captions_{name}.json").write_text(json.dumps({**head, "annotations": captions}))
    (annotations / f"instances_{name}.json").write_text(
        json.dumps({**head, "annotations": instances, "categories": _CATEGORIES})
    )


def _write_scene(
    folder: pathlib.Path, split: str, first_id: int, seed: int, image_size: int, index: int
) -> tuple[dict[str, Any], list[str], list[dict[str, Any]]]:
    """Draws one scene; gives COCO's `images` entry, the captions, and the instances without their ids."""
    scene = sample.sample_scene(seed, split, index)
    file_name = f"COCO_{folder.name}_{first_id + index:012d}.jpg"
    draw.draw(scene, image_size).save(folder / file_name, quality=_JPEG_QUALITY)
    image = {
        "license": 1,
        "file_name": file_name,
        "coco_url": "",
        "height": image_size,
        "width": image_size,
        "date_captured": _DATE,
        "flickr_url": "",
        "id": first_id + index,
    }
    return image, describe.describe(scene), [_instance(thing, image_size) for thing in scene.objects]


def _instance(thing: spec.SceneObject, image_size: int) -> dict[str, Any]:
    left, top, width, height = draw.pixel_box(thing, image_size)
    right, bottom = left + width, top + height
    return {
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
        "area": float(width * height),
        "iscrowd": 0,
        "bbox": [left, top, width, height],
        "category_id": spec.KINDS.index(thing.kind) + 1,
    }


LAYOUTS = {"coco2014": write_coco2014}
