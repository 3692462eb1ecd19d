"""The words by which folders, files and columns name the splits of a dataset."""

from __future__ import annotations

import os
import re

_SPLITS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "restval": "train",  # Karpathy's name for the rest of COCO's validation images, which are used for training.
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
# Words of a file's name: 'Flickr_8k.trainImages' has 'Flickr', 'k', 'train' and 'Images'.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_SUFFIXES = re.compile(r"(images?|classes|files|list|set|ids)$")


def split_of(word: str) -> str:
    """Returns the split that a word means, such as 'val2014' or 'Validation'; empty if it means none."""
    return _SPLITS.get(re.sub(r"\d{4}$", "", word.strip().lower()), "")


def split_in_file_name(path: str) -> str:
    """Returns the split that a file's name contains, such as 'captions_train2014.json'; empty if none or several."""
    name = os.path.splitext(path.rpartition("/")[2])[0]
    words = [_SUFFIXES.sub("", word.lower()) for word in _WORD.findall(name)]
    found = {_SPLITS[word] for word in words if word in _SPLITS}
    return found.pop() if len(found) == 1 else ""
