"""Reads COCO's annotation files: `annotations/{captions,instances}_<split><year>.json`."""

from __future__ import annotations

import collections
import contextlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from etils import epath

from data_pipelines.builders.skipped import LEFT_OUT, Note


class CocoImage(NamedTuple):
    """An image that COCO lists."""

    image_id: int
    file_name: str
    captions: list[Any]  # As published; usually strings.


def read_captions(path: epath.Path) -> tuple[list[CocoImage], list[Note]]:
    """Reads a file of captions.

    Args:
      path: of `captions_<split><year>.json`.

    Returns:
      Its images in the order of the file, doubles and all, bytes in captions that are no UTF-8 as lone surrogates;
      and notes on captions of images that it does not list.

    Raises:
      ValueError: the file is not what COCO publishes.
    """
    captions = collections.defaultdict(list)
    with _explained(path):
        content = _load(path)
        for annotation in content["annotations"]:
            captions[annotation["image_id"]].append(annotation.get("caption"))
        images = [
            CocoImage(image["id"], image["file_name"], captions.get(image["id"], [])) for image in content["images"]
        ]
    for image in images:
        captions.pop(image.image_id, None)
    notes = [
        Note(LEFT_OUT, "caption", f"{number} of image_id {image_id}", "caption of an image that is not listed")
        for image_id, unlisted in captions.items()
        for number in range(1, len(unlisted) + 1)
    ]
    return images, notes


def read_labels(path: epath.Path) -> dict[int, tuple[str, ...]]:
    """Reads the object classes of each image.

    Args:
      path: of `instances_<split><year>.json`.

    Returns:
      Names of the classes, sorted, each once, by image id; images without objects are not in there.

    Raises:
      ValueError: the file is not what COCO publishes.
    """
    labels = collections.defaultdict(set)
    with _explained(path):
        content = _load(path)
        names = {category["id"]: category["name"] for category in content["categories"]}
        for annotation in content["annotations"]:
            labels[annotation["image_id"]].add(names[annotation["category_id"]])
    return {image_id: tuple(sorted(found)) for image_id, found in labels.items()}


def _load(path: epath.Path) -> Any:
    return json.loads(path.read_bytes().decode("utf-8", errors="surrogateescape"))


@contextlib.contextmanager
def _explained(path: epath.Path) -> Iterator[None]:
    """Names the file in the error when its content is not COCO's."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON, perhaps cut off ({error}): fetch it again") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a COCO annotation file ({type(error).__name__}: {error})") from error
