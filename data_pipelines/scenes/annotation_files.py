"""Annotation files of drawn scenes, in COCO's format for 2014 and 2017."""

from __future__ import annotations

import itertools
import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from data_pipelines.scenes import draw, spec

_LICENSE = {"id": 1, "name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
_CATEGORIES = [{"supercategory": "object", "id": number, "name": kind} for number, kind in enumerate(spec.KINDS, 1)]


class Annotated(NamedTuple):
    """COCO's entries for one image: its entry in `images`, and its instances without their ids."""

    image: dict[str, Any]
    instances: list[dict[str, Any]]


def annotate(scene: spec.Scene, image_id: int, file_name: str, year: int, image_size: int) -> Annotated:
    """Describes one image and its objects in COCO's format.

    Args:
      scene: the scene that the image shows.
      image_id: id of the image.
      file_name: name of the image's file, without its folder.
      year: year of the COCO release, 2014 or 2017.
      image_size: pixels per side.

    Returns:
      The entries for the annotation files.
    """
    image = {
        "license": 1,
        "file_name": file_name,
        "coco_url": "",
        "height": image_size,
        "width": image_size,
        "date_captured": _date(year),
        "flickr_url": "",
        "id": image_id,
    }
    return Annotated(image, [_instance(thing, image_size) for thing in scene.objects])


def write_instances(path: pathlib.Path, annotated: Sequence[Annotated], year: int) -> None:
    """Writes an `instances_*.json` with the boxes and categories of all objects."""
    first_id = annotated[0].image["id"]
    ids = itertools.count(3 * first_id)  # A scene has at most three objects, so ids are unique across the splits.
    instances = [
        {**instance, "image_id": image["id"], "id": next(ids)}
        for image, instances in annotated
        for instance in instances
    ]
    _write(path, annotated, year, {"annotations": instances, "categories": _CATEGORIES})


def write_captions(
    path: pathlib.Path, annotated: Sequence[Annotated], captions: Sequence[Sequence[str]], year: int
) -> None:
    """Writes a `captions_*.json` with five captions of each image."""
    first_id = annotated[0].image["id"]
    ids = itertools.count(5 * first_id)
    entries = [
        {"image_id": image["id"], "id": next(ids), "caption": caption}
        for (image, _), captions_of_image in zip(annotated, captions)
        for caption in captions_of_image
    ]
    _write(path, annotated, year, {"annotations": entries})


def _write(path: pathlib.Path, annotated: Sequence[Annotated], year: int, content: dict[str, Any]) -> None:
    info = {
        "description": f"Drawn scenes in the layout of COCO {year}",
        "url": "",
        "version": "1.0",
        "year": year,
        "contributor": "data_pipelines.scenes",
        "date_created": _date(year),
    }
    images = [image for image, _ in annotated]
    path.write_text(json.dumps({"info": info, "images": images, "licenses": [_LICENSE], **content}))


def _date(year: int) -> str:
    return f"{year}-01-01 00:00:00"


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
