"""Reads COCO's annotation files: `annotations/{captions,instances}_<split><year>.json`."""

from __future__ import annotations

import collections
import re
from collections.abc import Collection
from typing import Any, NamedTuple, TypeVar, Union

import msgspec
from absl import logging
from etils import epath

from data_pipelines.builders.skipped import LEFT_OUT, Issue
from xmcgan import text_files

_T = TypeVar("_T")
_Id = Union[int, float, str]

_MAX_BYTES = 4 << 30  # The largest of COCO's files has 450 MB.


class CocoImage(NamedTuple):
    """An image that is listed in an annotation file."""

    image_id: str  # As published; compare its `id_value`.
    file_name: str
    captions: list[Any]  # As published; usually strings.


class _Image(msgspec.Struct):
    id: _Id
    file_name: str


class _Caption(msgspec.Struct):
    image_id: _Id
    caption: Any = None


class _CaptionFile(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Caption]


class _Category(msgspec.Struct):
    id: _Id
    name: str


class _Object(msgspec.Struct):
    image_id: _Id
    category_id: _Id


class _InstanceFile(msgspec.Struct):
    categories: list[_Category]
    annotations: list[_Object]


def id_value(published: _Id) -> str:
    """Returns the value of an id, by which files are joined: 7, 7.0, "7" and "007" are the same."""
    if isinstance(published, float) and published.is_integer():
        published = int(published)
    text = str(published).strip()
    return text.lstrip("0") or "0" if re.fullmatch("[0-9]+", text) else text


def read_captions(path: epath.Path) -> tuple[list[CocoImage], list[Issue]]:
    """Reads the images and captions of an annotation file.

    Args:
      path: path of a file `captions_<split><year>.json`.

    Returns:
      The images in the order of the file, including duplicates, and an issue for each caption whose image the file does
      not list. In captions, bytes that are not UTF-8 become lone surrogates.

    Raises:
      ValueError: the file does not have COCO's format; names the place.
    """
    content = _read(path, _CaptionFile)
    captions = collections.defaultdict(list)
    for annotation in content.annotations:
        captions[id_value(annotation.image_id)].append(annotation.caption)
    images: list[CocoImage] = []
    for number, listed in enumerate(content.images):
        published_id = listed.id if isinstance(listed.id, str) else id_value(listed.id)
        _check_text(published_id, f"{path}: images[{number}].id")
        _check_text(listed.file_name, f"{path}: images[{number}].file_name")
        images.append(CocoImage(published_id, listed.file_name, captions.get(id_value(listed.id), [])))
    for image in images:
        captions.pop(id_value(image.image_id), None)
    issues = [
        Issue(LEFT_OUT, "caption", f"{number} of image_id {image_id}", "caption of an image that is not listed")
        for image_id, unlisted in captions.items()
        for number in range(1, len(unlisted) + 1)
    ]
    return images, issues


def read_labels(path: epath.Path) -> dict[str, tuple[str, ...]]:
    """Reads the object classes of each image.

    Args:
      path: path of a file `instances_<split><year>.json`.

    Returns:
      By the value of the image id (see `id_value`), the sorted names of the image's classes, without duplicates. Images
      without objects are omitted.

    Raises:
      ValueError: the file does not have COCO's format; names the place.
    """
    content = _read(path, _InstanceFile)
    names = {}
    for number, category in enumerate(content.categories):
        _check_text(category.name, f"{path}: categories[{number}].name")
        names[id_value(category.id)] = category.name
    labels = collections.defaultdict(set)
    for number, annotation in enumerate(content.annotations):
        category_id = id_value(annotation.category_id)
        if category_id not in names:
            raise ValueError(f"{path}: annotations[{number}].category_id: there is no category {category_id}")
        labels[id_value(annotation.image_id)].add(names[category_id])
    return {image_id: tuple(sorted(found)) for image_id, found in labels.items()}


def warn_of_foreign_labels(path: epath.Path, labels: Collection[str], image_ids: Collection[str]) -> None:
    """Logs a warning if a file with object classes has none for any image of a split.

    Args:
      path: path of the file `instances_<split><year>.json`.
      labels: values of the image ids with labels, see `read_labels`.
      image_ids: values of the image ids in the split.
    """
    if labels and image_ids and not any(image_id in labels for image_id in image_ids):
        logging.warning("%s has objects of %d images, none of which is in this split: no labels", path, len(labels))


def _read(path: epath.Path, kind: type[_T]) -> _T:
    with text_files.advice("this is not a COCO annotation file, or it is damaged"):
        return text_files.read_json(path, kind, max_bytes=_MAX_BYTES, any_bytes=True)


def _check_text(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place} is not text") from error
