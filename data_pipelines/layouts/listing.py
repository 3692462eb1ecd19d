"""What every layout is read into: the images of a source with their captions, and what could not be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from data_pipelines.builders.skipped import LEFT_OUT, Issue
from data_pipelines.layouts.split_words import split_of
from data_pipelines.layouts.tree import Tree


class ListedImage(NamedTuple):
    """An image of a source with its captions."""

    path: str  # Path within the source, or within the archive; empty if there is no such file.
    name: str  # Path, or for an image that is not there, the name that the source gives it.
    captions: tuple[Any, ...]  # As found, usually strings; none if nothing describes the image.
    split: str = ""  # 'train', 'validation' or 'test'; empty if the layout does not say.
    archive: str = ""  # Path of its tar file within the source; empty if the image is a file of its own.
    digest: str = ""  # Digest of its content, if it is in an archive.
    text: str = ""  # Path of its own text file, if it has one.


class Listing(NamedTuple):
    """The images of a source."""

    images: list[ListedImage]
    issues: list[Issue]  # Captions that belong to no image.


class Options(NamedTuple):
    """What a user may say about a layout."""

    caption_column: str = ""  # Column of a table, or key of JSON, that holds the captions.


class CaptionCollector:
    """Collects the captions of the images in a tree, by the names that a table gives them."""

    def __init__(self, tree: Tree):
        self._tree = tree
        self._captions: dict[str, list[Any]] = {path: [] for path in tree.images}
        self._splits: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._missing: dict[str, list[Any]] = {}
        self.issues: list[Issue] = []

    def add(self, name: str, captions: Sequence[Any], *, beside: str = "", split: str = "") -> str:
        """Adds captions to the image that a name means.

        Args:
          name: see `Tree.find`.
          captions: as found.
          beside: folder of the table that names the image.
          split: split of the image, if the table says so.

        Returns:
          The path of the image; empty if there is none.
        """
        found = self._tree.find(name, beside)
        found = narrow(found, split)
        if len(found) > 1:
            detail = f"{found[0]}, {found[1]}"
            self.issues += [Issue(LEFT_OUT, "caption", name, "name that fits several images", detail) for _ in captions]
            return ""
        if found:
            self.add_to(found[0], captions, split)
            return found[0]
        self._missing.setdefault(name, []).extend(captions)
        self._splits.setdefault(name, split)
        return ""

    def add_to(self, path: str, captions: Sequence[Any], split: str = "", text: str = "") -> None:
        """Adds captions to the image at a path; `text` is its own text file."""
        self._captions[path].extend(captions)
        if split:
            self._splits[path] = split
        if text:
            self._texts[path] = text

    def listing(self) -> Listing:
        """Returns all images of the tree, and those that are named but not there."""
        images = [
            ListedImage(path, path, tuple(captions), self._splits.get(path, ""), text=self._texts.get(path, ""))
            for path, captions in self._captions.items()
        ]
        images += [
            ListedImage("", name, tuple(captions), self._splits.get(name, ""))
            for name, captions in self._missing.items()
        ]
        return Listing(images, self.issues)


def narrow(found: list[str], split: str) -> list[str]:
    """Returns those of several images whose folders name a split, if there are any; else all of them."""
    if len(found) < 2 or not split:
        return found
    return [path for path in found if split in map(split_of, path.split("/")[:-1])] or found
