"""COCO's captions JSON, `annotations/captions_*.json` or any other name, with images in any folder."""

from __future__ import annotations

import re

from data_pipelines.builders import coco_annotations
from data_pipelines.layouts.listing import CaptionCollector, Listing, Options
from data_pipelines.layouts.split_words import split_in_file_name
from data_pipelines.layouts.tree import Tree, stem

_BEGINNING = 1 << 20
_CAPTION, _IMAGES = re.compile(rb'"caption"\s*:'), re.compile(rb'"(images|annotations)"\s*:')


def see(tree: Tree, options: Options) -> str:
    """Describes the files of captions that a source has; empty if it has none."""
    del options
    return ", ".join(_files(tree))


def read(tree: Tree, options: Options) -> Listing:
    """Reads all files of captions of a source.

    Raises:
      ValueError: a file does not have COCO's format.
    """
    del options
    collector = CaptionCollector(tree)
    for path in _files(tree):
        images, issues = coco_annotations.read_captions(tree.root / path)
        collector.issues += issues
        for image in images:
            collector.add(image.file_name, image.captions, split=split_in_file_name(path))
    return collector.listing()


def _files(tree: Tree) -> list[str]:
    beside = {stem(path) for path in tree.images}  # Notes on one image, as img2dataset writes them.
    found = [path for path in tree.files if path.lower().endswith(".json") and stem(path) not in beside]
    return [path for path in found if _has_captions(tree, path)]


def _has_captions(tree: Tree, path: str) -> bool:
    """Tells whether a file has captions in COCO's form, by its beginning and end: images or annotations come first."""
    with (tree.root / path).open("rb") as file:
        beginning = file.read(_BEGINNING)
        size = file.seek(0, 2)
        file.seek(max(0, size - _BEGINNING))
        end = file.read()
    both = beginning + end
    return bool(_CAPTION.search(both) and _IMAGES.search(both))
