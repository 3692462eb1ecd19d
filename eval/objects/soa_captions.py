"""The official caption lists of SOA, and which images are to be drawn of them.

They are the files `label_00_person.pkl` to `label_79_toothbrush.pkl` of
https://github.com/tohinz/semantic-object-accuracy-for-generative-text-to-image-synthesis (folder SOA/captions): each
pickles a list of {'image_id', 'id', 'idx', 'caption'}, captions of COCO's validation split that name the class. A
pickle may run anything as it is loaded, so these are read by an unpickler that knows no functions and no classes.
"""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from etils import epath

from eval.objects.soa_classes import COCO_CLASSES

_FILE_NAME = re.compile(r"label_(\d{1,2})(?:_\w*)?\.pkl")
# The label of 'person', which nearly every second caption of COCO names.
_PERSON = 0


class LabelCaptions(NamedTuple):
    """The captions that name one class. `label`: its number, 0 to 79; `name`: COCO's, as in `COCO_CLASSES`."""

    label: int
    name: str
    captions: list[str]


class Jobs(NamedTuple):
    """The images to draw: of `captions[i]`, with the noise of `seeds[i]`, one that should show class `labels[i]`.

    `labels`: int64 [n]; `seeds`: int64 [n], no two the same.
    """

    captions: list[str]
    labels: np.ndarray
    seeds: np.ndarray


def load_caption_lists(folder: str | os.PathLike) -> list[LabelCaptions]:
    """Reads the lists in a folder, written by Python 2 or 3; logs a warning that names the labels without a list.

    Args:
      folder: where the files `label_XX_name.pkl` lie. What goes by another name is passed over.

    Returns:
      The lists by their labels. Their captions are used, and the rest of an entry need not be there.

    Raises:
      FileNotFoundError: the folder, or any list in it, is not there.
      ValueError: a file is no such list or asks for a function or class, or two are of one label.
    """
    root = epath.Path(folder)
    paths = sorted(root.glob("label_*.pkl")) if root.is_dir() else []
    if not paths:
        raise FileNotFoundError(
            f"No caption lists label_00_person.pkl, label_01_bicycle.pkl, ... in {folder}: download the folder "
            "SOA/captions of github.com/tohinz/semantic-object-accuracy-for-generative-text-to-image-synthesis"
        )
    lists: dict[int, LabelCaptions] = {}
    files: dict[int, epath.Path] = {}
    for path in paths:
        label = _label(path)
        if label in files:
            raise ValueError(f"{files[label]} and {path} are lists of one label, {label}: remove one of them")
        files[label] = path
        lists[label] = LabelCaptions(label, COCO_CLASSES[label].name, _captions(path))
    missing = missing_labels(list(lists.values()))
    if missing:
        logging.warning("%s: no captions, and so no SOA, of %d classes: %s", folder, len(missing), ", ".join(missing))
    return [lists[label] for label in sorted(lists)]


def missing_labels(lists: Sequence[LabelCaptions]) -> list[str]:
    """The names of COCO's classes that have no list."""
    present = {one.label for one in lists}
    return [object_class.name for label, object_class in enumerate(COCO_CLASSES) if label not in present]


def drawing_jobs(
    lists: Sequence[LabelCaptions], *, seed: int, images_per_caption: int = 3, person_captions: int = 30_000
) -> Jobs:
    """Which images the official protocol draws.

    Of every caption three, each with noise of its own; of the label 'person', which has far more captions than any
    other, one each of 30,000 captions drawn at random.

    Args:
      lists: the captions of the labels.
      seed: of the draw and the noise, from 0 to 2**31 - 1.
      images_per_caption: images of each caption, but for 'person'.
      person_captions: captions of 'person' that are drawn, without repetition; all of them where there are fewer.

    Returns:
      The images, label by label. The jobs of a label are the same whatever other labels there are.
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
        # Of the evaluation, of the label, of the image; those of label -1 are left to other lists of captions.
        seeds.append((seed << 32) + ((one.label + 1) << 24) + np.arange(num, dtype=np.int64))
    return Jobs(captions, np.concatenate(labels), np.concatenate(seeds))


class _DataUnpickler(pickle.Unpickler):
    """Reads numbers, strings and containers of them, which need no global; whatever needs one is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise _ForbiddenGlobalError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise _ForbiddenGlobalError(f"the persistent object {pid!r}")


class _ForbiddenGlobalError(pickle.UnpicklingError):
    """A pickle asks for what is not data."""


def _label(path: epath.Path) -> int:
    match = _FILE_NAME.fullmatch(path.name)
    if not match or int(match[1]) >= len(COCO_CLASSES):
        raise ValueError(
            f"{path}: its name has no label from 00 to {len(COCO_CLASSES) - 1}, as label_16_dog.pkl has: "
            "rename or remove it"
        )
    return int(match[1])


def _captions(path: epath.Path) -> list[str]:
    """The captions of one file."""
    try:
        with path.open("rb") as file:
            # Python 2's byte strings stay bytes here, for their encoding is not known before it is tried.
            entries = _DataUnpickler(file, encoding="bytes").load()
    except _ForbiddenGlobalError as error:
        raise ValueError(
            f"{path} asks to load {error}, which a list of captions does not need; it was not run. "
            "Download the list again from where it is published"
        ) from error
    except Exception as error:  # Damaged pickles fail in many ways: EOFError, KeyError, AttributeError, MemoryError.
        raise ValueError(f"{path} is no readable pickle ({error}): download it again") from error
    if not isinstance(entries, (list, tuple)) or not entries:
        raise ValueError(f"{path} holds {_kind(entries)}, not a list of captions: download it again")
    return [_caption(path, number, entry) for number, entry in enumerate(entries)]


def _caption(path: epath.Path, number: int, entry: Any) -> str:
    if not isinstance(entry, dict):
        raise ValueError(f"{path}, entry {number}: {_kind(entry)} in place of a dict with 'caption'")
    entry = {_text(key): value for key, value in entry.items()}
    if "caption" not in entry:
        raise ValueError(f"{path}, entry {number}: 'caption' is missing, there is {sorted(map(str, entry))}")
    caption = _text(entry["caption"])
    if not isinstance(caption, str) or not caption.strip():
        raise ValueError(f"{path}, entry {number}: 'caption' is {_kind(caption)}, not a sentence")
    return caption


def _text(value: Any) -> Any:
    """Python 2's byte strings as text: UTF-8 where they are, else Latin-1; anything else as it is."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _kind(value: Any) -> str:
    return f"an empty {type(value).__name__}" if value in ("", [], (), {}) else f"a {type(value).__name__}"
