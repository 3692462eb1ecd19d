"""Assigns every image of a source to a split, and keeps images of equal content out of different ones.

What the source says comes first: a column of a table or the name of its file, then lists of names, then folders. Images
of a source that does not say which ones are for validation are divided by a hash of their names, so the division is the
same on every machine.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from data_pipelines.builders.skipped import KEPT, LEFT_OUT, Issue
from data_pipelines.layouts import split_lists
from data_pipelines.layouts.content import digests_of
from data_pipelines.layouts.listing import ListedImage
from data_pipelines.layouts.split_words import split_of
from data_pipelines.layouts.tree import Tree

TRAIN, VALIDATION, TEST = "train", "validation", "test"
# The order in which splits keep an image that several of them have: what models are compared on stays complete.
_RANKS = (VALIDATION, TEST, TRAIN)
# Folders this deep may be named after splits, as in 'images/train/'.
_MAX_DEPTH = 3


class PlacedImage(NamedTuple):
    """An image in a split."""

    name: str  # Unique within the split; without folders that all images share, and those named after splits.
    image: ListedImage


@dataclasses.dataclass
class Division:
    """The splits of a source.

    Attributes:
      images: the images of each split.
      issues: what was found in dividing them, by split.
      how: what decided, in a few words.
    """

    images: dict[str, list[PlacedImage]]
    issues: dict[str, list[Issue]]
    how: str


def divide(tree: Tree, images: Sequence[ListedImage], validation_share: float) -> Division:
    """Assigns images to splits.

    Args:
      tree: the files of the source.
      images: those to assign.
      validation_share: share of the images that the source does not assign, or of its training images if it has none
        for validation, that become the validation split; 0 .. 1, exclusive.

    Raises:
      ValueError: there are fewer than two different images.
    """
    issues: dict[str, list[Issue]] = collections.defaultdict(list)
    images, unnamed = _without_unnamed(images)
    issues[TRAIN] += unnamed
    depth = _depth_of_splits([image for image in images if image.captions])
    given, how = _given(tree, images, depth)
    names = _names(images, given, depth)
    groups = _equal_images(tree, images, names)
    splits = {**dict.fromkeys(range(len(images)), TRAIN), **given}
    if given:
        rest = [index for index, image in enumerate(images) if index not in given and image.captions]
        reason = "image of no split: used for training"
        issues[TRAIN] += [Issue(KEPT, "image", names[index], reason) for index in rest]
    if VALIDATION not in given.values():
        usable = {index for index, image in enumerate(images) if image.path and image.captions}
        free = [index for index, split in splits.items() if split == TRAIN]
        splits.update(_by_hash(free, usable, names, groups, validation_share))
        part = f"about {validation_share:.0%} of the {'training ' if given else ''}images are for validation, by a hash"
        how = f"{how}; {part}" if given else part
    division = Division({}, issues, how)
    for index in _without_doubles(groups, splits, names, issues):
        placed = PlacedImage(names[index], images[index])
        division.images.setdefault(splits[index], []).append(placed)
    if not division.images.get(TRAIN) or not division.images.get(VALIDATION):
        raise ValueError(f"{tree.root} has {len(images)} images: a split for training and one for validation need two")
    return division


def _without_unnamed(images: Iterable[ListedImage]) -> tuple[list[ListedImage], list[Issue]]:
    """Leaves out images whose names are not text, which some file systems allow."""
    kept, issues = [], []
    for image in images:
        try:
            image.name.encode()
            kept.append(image)
        except UnicodeEncodeError:
            name = image.name.encode("utf-8", "backslashreplace").decode()
            issues.append(Issue(LEFT_OUT, "image", name, "file name is not UTF-8"))
    return kept, issues


def _folders(image: ListedImage) -> list[str]:
    """Returns the folders above an image; those of an archive come first."""
    above = image.archive.split("/")[:-1] if image.archive else []
    return [*above, *image.name.split("/")[:-1]]


def _depth_of_splits(images: Sequence[ListedImage]) -> int | None:
    """Returns at which depth folders are named after splits; None if there are no such folders.

    A folder 'train' may as well hold photographs of trains. So either all images are in folders named after splits, or
    there are such folders for training and for evaluation.
    """
    for depth in range(_MAX_DEPTH):
        found = [split_of(folders[depth]) if depth < len(folders) else "" for folders in map(_folders, images)]
        splits = set(found) - {""}
        if splits and (all(found) or (TRAIN in splits and len(splits) > 1)):
            return depth
    return None


def _given(tree: Tree, images: Sequence[ListedImage], depth: int | None) -> tuple[dict[int, str], str]:
    """Returns the splits of those images whose split the source says, by index, and how it says it."""
    given: dict[int, str] = {}
    how = []
    if depth is not None:
        how.append("folders")
        for index, folders in enumerate(map(_folders, images)):
            split = split_of(folders[depth]) if depth < len(folders) else ""
            given.update({index: split} if split else {})
    lists = split_lists.read(tree, images)
    how += lists.files
    given.update(lists.splits)
    said = {index: image.split for index, image in enumerate(images) if image.split}
    how += ["files of captions"] if said else []
    given.update(said)
    if TRAIN not in given.values():  # Perhaps the test set alone.
        return {}, ""
    return given, f"splits as the source's {', '.join(how)} say"


def _names(images: Sequence[ListedImage], given: Mapping[int, str], depth: int | None) -> list[str]:
    """Returns the name of each image: without folders named after splits, and those that all images share."""
    short = []
    for image in images:
        parts = image.name.split("/")
        place = depth - len(_folders(image)) + len(parts) - 1 if depth is not None else -1
        if 0 <= place < len(parts) - 1 and split_of(parts[place]):
            del parts[place]
        short.append("/".join(parts))
    described = [name.rpartition("/")[0] for name, image in zip(short, images) if image.captions and image.path]
    shared = os.path.commonpath(described) if all(described) and described else ""
    short = [name.removeprefix(f"{shared}/") if shared else name for name in short]
    if len({(given.get(index), name) for index, name in enumerate(short)}) == len(short):
        return short
    return ["/".join(filter(None, [image.archive, image.name])) for image in images]


def _equal_images(tree: Tree, images: Sequence[ListedImage], names: Sequence[str]) -> list[list[int]]:
    """Returns the images in groups of equal content, each sorted by name; most groups have one."""
    groups: dict[object, list[int]] = collections.defaultdict(list)
    for index, digest in enumerate(digests_of(tree, images)):
        groups[digest or index].append(index)
    return [sorted(group, key=lambda index: names[index]) for group in groups.values()]


def _by_hash(
    free: Sequence[int],
    usable: Collection[int],
    names: Sequence[str],
    groups: Iterable[Sequence[int]],
    validation_share: float,
) -> dict[int, str]:
    """Divides images by a hash of their names, with at least one usable image for validation.

    Images of equal content go together.
    """
    first = {index: names[group[0]] for group in groups for index in group}
    ranks = {index: _rank(first[index]) for index in free}
    limit = max(validation_share, min((ranks[index] for index in free if index in usable), default=0.0))
    return {index: VALIDATION if ranks[index] <= limit else TRAIN for index in free}


def _rank(name: str) -> float:
    """Returns a number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def _without_doubles(
    groups: Iterable[Sequence[int]], splits: Mapping[int, str], names: Sequence[str], issues: dict[str, list[Issue]]
) -> list[int]:
    """Returns the images that keep their places, in order: of equal images, only those of one split."""
    kept = []
    for group in groups:
        best = min((splits[index] for index in group), key=_RANKS.index)
        first = next(index for index in group if splits[index] == best)
        for index in group:
            if splits[index] != best:
                issue = Issue(LEFT_OUT, "image", names[index], f"same content as an image of {best}", names[first])
                issues[splits[index]].append(issue)
                continue
            kept.append(index)
            if index != first:
                issue = Issue(KEPT, "image", names[index], "same content as another image of its split", names[first])
                issues[best].append(issue)
    return sorted(kept)
