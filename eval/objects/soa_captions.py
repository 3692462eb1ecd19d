"""Reads the official caption lists of SOA, and decides which images to generate for them.

The lists are the files `label_00_person.pkl` to `label_79_toothbrush.pkl` of
https://github.com/tohinz/semantic-object-accuracy-for-generative-text-to-image-synthesis (folder SOA/captions). Each
pickles a list of {'image_id', 'id', 'idx', 'caption'}: captions of COCO's validation split that name the class. Loading
a pickle can run arbitrary code, so the files are read by an unpickler of plain data.
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from etils import epath

from eval.objects import plain_pickle
from eval.objects.soa_classes import COCO_CLASSES
from xmcgan import escapes, text_files
from xmcgan.files import matching

_FILE_NAME = re.compile(r"label_(\d{1,2})(?:_\w*)?\.pkl")
_MAX_BYTES = 32 << 20  # The largest published list has 10 MB.
# The label of 'person', which almost half of COCO's captions name.
_PERSON = 0


class LabelCaptions(NamedTuple):
    """The captions that name one class."""

    label: int  # Number of the class, from 0 to 79.
    name: str  # Name of the class, as in `COCO_CLASSES`.
    captions: list[str]


class Jobs(NamedTuple):
    """The images to generate: image i is drawn from `captions[i]` and `seeds[i]`, and should show class `labels[i]`."""

    captions: list[str]
    labels: np.ndarray  # [n] int64
    seeds: np.ndarray  # [n] int64, all different: the seeds of the noise.


def find_lists(folder: str | os.PathLike) -> list[epath.Path]:
    """Returns the files of the lists in a folder, sorted by name.

    Raises:
      FileNotFoundError: the folder does not exist, or has no list.
    """
    paths = matching(folder, "label_*.pkl")
    if not paths:
        raise FileNotFoundError(
            f"No caption lists label_00_person.pkl, label_01_bicycle.pkl, ... in {folder}: download the folder "
            "SOA/captions of github.com/tohinz/semantic-object-accuracy-for-generative-text-to-image-synthesis"
        )
    return paths


def load_caption_lists(folder: str | os.PathLike) -> list[LabelCaptions]:
    """Reads the lists in a folder, pickled by Python 2 or 3; logs a warning that names the labels without a list.

    Args:
      folder: folder of the files `label_XX_name.pkl`. Files with other names are ignored.

    Returns:
      The lists in the order of their labels. Only the captions of the entries are used; the rest may be missing.

    Raises:
      FileNotFoundError: the folder does not exist, or has no list.
      ValueError: a file is not such a list or refers to a function or class, or two files have the same label.
    """
    paths = find_lists(folder)
    lists: dict[int, LabelCaptions] = {}
    files: dict[int, epath.Path] = {}
    for path in paths:
        label = _label(path)
        if label in files:
            raise ValueError(f"{files[label]} and {path} are lists of the same label, {label}: remove one of them")
        files[label] = path
        lists[label] = LabelCaptions(label, COCO_CLASSES[label].name, _captions(path))
    missing = missing_labels(list(lists.values()))
    if missing:
        logging.warning("%s: no captions, so no SOA, for %d classes: %s", folder, len(missing), ", ".join(missing))
    return [lists[label] for label in sorted(lists)]


def missing_labels(lists: Sequence[LabelCaptions]) -> list[str]:
    """Returns the names of COCO's classes that have no list."""
    present = {one.label for one in lists}
    return [object_class.name for label, object_class in enumerate(COCO_CLASSES) if label not in present]


def drawing_jobs(
    lists: Sequence[LabelCaptions], *, seed: int, images_per_caption: int = 3, person_captions: int = 30_000
) -> Jobs:
    """Lists the images that the official protocol generates.

    Each caption gets three images with different noise. The label 'person' has far more captions than any other, so
    30,000 of its captions are drawn at random, and get one image each.

    Args:
      lists: the captions of the labels.
      seed: seed of the draw and of the noise, from 0 to 2**31 - 1.
      images_per_caption: images of each caption, except for 'person'.
      person_captions: number of captions to draw for 'person', without repetition; all are used if there are fewer.

    Returns:
      The images, label by label. The images of a label do not depend on the other labels.
    """
    captions: list[str] = []
    labels: list[np.ndarray] = []
    seeds: list[np.ndarray] = []
    for one in lists:
        chosen, repetitions = one.captions, images_per_caption
        if one.label == _PERSON:
            order = np.random.default_rng([seed, one.label]).permutation(len(chosen))
            chosen, repetitions = [chosen[index] for index in order[:person_captions]], 1
        captions += [caption for caption in chosen for _ in range(repetitions)]
        num = len(chosen) * repetitions
        labels.append(np.full([num], one.label, np.int64))
        # A seed is made of the evaluation's seed, the label and the image. Other caption lists use label -1.
        seeds.append((seed << 32) + ((one.label + 1) << 24) + np.arange(num, dtype=np.int64))
    return Jobs(captions, np.concatenate(labels), np.concatenate(seeds))


def _label(path: epath.Path) -> int:
    match = _FILE_NAME.fullmatch(path.name)
    if not match or int(match[1]) >= len(COCO_CLASSES):
        raise ValueError(
            f"{path}: its name has no label from 00 to {len(COCO_CLASSES) - 1}, like label_16_dog.pkl: "
            "rename or remove it"
        )
    return int(match[1])


def _captions(path: epath.Path) -> list[str]:
    """Reads the captions of one file."""
    try:
        entries = plain_pickle.loads(text_files.read_bytes(path, max_bytes=_MAX_BYTES))
    except plain_pickle.NotPlainError as error:
        raise ValueError(
            f"{path} asks to load {escapes.excerpt(str(error))}, which a list of captions does not need; it was not "
            "run. Download the list again from where it is published"
        ) from error
    except Exception as error:  # Damaged pickles fail in many ways: EOFError, KeyError, AttributeError, MemoryError.
        reason = escapes.excerpt(str(error) or type(error).__name__)
        raise ValueError(f"{path} is not a readable pickle ({reason}): download it again") from error
    if not isinstance(entries, (list, tuple)) or not entries:
        raise ValueError(f"{path} holds {_kind(entries)}, not a list of captions: download it again")
    return [_caption(path, number, entry) for number, entry in enumerate(entries)]


def _caption(path: epath.Path, number: int, entry: Any) -> str:
    if not isinstance(entry, dict):
        raise ValueError(f"{path}, entry {number}: {_kind(entry)} instead of a dict with 'caption'")
    entry = {_text(key): value for key, value in entry.items()}
    if "caption" not in entry:
        raise ValueError(f"{path}, entry {number}: 'caption' is missing among {reprlib.repr(sorted(map(str, entry)))}")
    caption = _text(entry["caption"])
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError(f"{path}, entry {number}: 'caption' is {_kind(caption)}, not a sentence")
    try:
        caption.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{path}, entry {number}: 'caption' is not text: it has a lone surrogate") from error
    return caption


def _text(value: Any) -> Any:
    """Decodes a byte string of Python 2, as UTF-8 if possible, else as Latin-1; returns any other value unchanged."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _kind(value: Any) -> str:
    return f"an empty {type(value).__name__}" if value in ("", [], (), {}) else f"a {type(value).__name__}"
