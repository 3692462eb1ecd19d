"""One text file for each image, one caption in a line: beside the image, or in a folder of texts.

Beside the image is how img2dataset and kohya's scripts write them: `a.jpg` and `a.txt` (or `a.caption`). CUB-200 and
Oxford-102 have folders of texts: `text_c10/<class>/<image>.txt`, and the images elsewhere.
"""

from __future__ import annotations

import os
import re

from data_pipelines.builders.skipped import LEFT_OUT, Issue
from data_pipelines.layouts.listing import CaptionCollector, Listing, Options, narrow
from data_pipelines.layouts.split_words import split_in_file_name, split_of
from data_pipelines.layouts.tree import Tree, stem
from xmcgan import text_files

_ENDINGS = (".txt", ".caption")
# Files that folders of images often have besides, as well as lists of splits.
_NO_CAPTION = re.compile(r"readme|licen[cs]e|classes", re.IGNORECASE)
_TEXT_FOLDER = re.compile(r"(text|caption|annotation)s?(_\w+)?", re.IGNORECASE)


def see_beside(tree: Tree, options: Options) -> str:
    """Describes the images that have a text file beside them; empty if there are none."""
    del options
    described = _beside(tree)
    return f"{len(described)} of {len(tree.images)} images with a text file beside them" if described else ""


def read_beside(tree: Tree, options: Options) -> Listing:
    """Reads the text files beside the images."""
    del options
    collector = CaptionCollector(tree)
    for image, text in _beside(tree).items():
        _add(tree, image, text, collector)
    folders = {_folder(image) for image in tree.images}
    texts = [path for path in tree.files if path.lower().endswith(_ENDINGS) and _folder(path) in folders]
    described = {stem(image) for image in tree.images}
    _report_unused([path for path in texts if stem(path) not in described], collector)
    return collector.listing()


def see_folder(tree: Tree, options: Options) -> str:
    """Describes the folders of texts whose files have the names of images; empty if there are none."""
    del options
    folders = sorted({folder for folder, path in _texts(tree) if _images_of(tree, folder, path)})
    return ", ".join(f"{folder}/" for folder in folders)


def read_folder(tree: Tree, options: Options) -> Listing:
    """Reads the folders of texts."""
    del options
    collector = CaptionCollector(tree)
    unused = []
    for folder, path in _texts(tree):
        found = _images_of(tree, folder, path)
        if len(found) == 1:
            _add(tree, found[0], path, collector)
        else:
            unused.append(path)
    _report_unused(unused, collector)
    return collector.listing()


def _beside(tree: Tree) -> dict[str, str]:
    """Returns the text file of each image that has one."""
    texts: dict[str, str] = {}
    for path in tree.files:
        if path.lower().endswith(_ENDINGS):
            texts.setdefault(stem(path), path)
    return {image: texts[stem(image)] for image in tree.images if stem(image) in texts}


def _texts(tree: Tree) -> list[tuple[str, str]]:
    """Returns the text files below a folder of texts, with the path of that folder; none that is beside its image."""
    found, described = [], set(_beside(tree).values())
    for path in tree.files:
        if path.lower().endswith(_ENDINGS) and path not in described:
            folders = path.split("/")[:-1]
            depth = next((i for i, name in enumerate(folders) if _TEXT_FOLDER.fullmatch(name)), None)
            if depth is not None:
                found.append(("/".join(folders[: depth + 1]), path))
    return found


def _images_of(tree: Tree, folder: str, text: str) -> list[str]:
    """Returns the images of a text: those with the same folder and name, else with the same name."""
    within = stem(text[len(folder) + 1 :])
    found = tree.find_stem(within) or tree.find_stem(within.rpartition("/")[2])
    return narrow(found, next(filter(None, map(split_of, text.split("/")[:-1])), ""))


def _add(tree: Tree, image: str, text: str, collector: CaptionCollector) -> None:
    try:
        content = text_files.read_text(os.fspath(tree.root / text))
    except ValueError as error:
        collector.issues.append(Issue(LEFT_OUT, "caption", text, "caption is not UTF-8", str(error)))
        return
    collector.add_to(image, [line for line in content.split("\n") if line.strip()], text=text)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _report_unused(texts: list[str], collector: CaptionCollector) -> None:
    for path in texts:
        name = path.rpartition("/")[2]
        if _NO_CAPTION.match(name) or split_in_file_name(name):
            continue
        collector.issues.append(Issue(LEFT_OUT, "caption", path, "text file without an image"))
