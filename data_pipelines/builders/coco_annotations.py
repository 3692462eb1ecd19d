"""Reads COCO's annotation files: `annotations/{captions,instances}_<split><year>.json`."""

from __future__ import annotations

import collections
import contextlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from etils import epath

from data_pipelines.builders.skipped import LEFT_OUT, Issue


class CocoImage(NamedTuple):
    """An image that is listed in an annotation file."""

    image_id: int
    file_name: str
    captions: list[Any]  # As published; usually strings.


def read_captions(path: epath.Path) -> tuple[list[CocoImage], list[Issue]]:
    """Reads the images and captions of an annotation file.

    Args:
      path: path of a file `captions_<split><year>.json`.

    Returns:
      The images in the order of the file, including duplicates, and an issue for each caption whose image the file does
      not list. In captions, bytes that are not UTF-8 become lone surrogates.

    Raises:
      ValueError: the file does not have COCO's format.
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
    issues = [
        Issue(LEFT_OUT, "caption", f"{number} of image_id {image_id}", "caption of an image that is not listed")
        for image_id, unlisted in captions.items()
        for number in range(1, len(unlisted) + 1)
    ]
    return images, issues


def read_labels(path: epath.Path) -> dict[int, tuple[str, ...]]:
    """Reads the object classes of each image.

    Args:
      path: path of a file `instances_<split><year>.json`.

    Returns:
      By image id, the sorted names of the image's classes, without duplicates. Images without objects are omitted.

    Raises:
      ValueError: the file does not have COCO's format.
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
    """Raises a ValueError that names the file if its content does not have COCO's format."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON, perhaps truncated ({error}): download it again") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a COCO annotation file ({type(error).__name__}: {error})") from error
