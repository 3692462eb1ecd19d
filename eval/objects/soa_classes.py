"""Finds the object classes that a caption names, by words and exclusions (the paper's approximate SOA, section 5.2).

The official lists contain the captions of COCO's validation split that name each class. For other captions, such as the
30,000 random ones of the paper's ablations and the narratives, this module finds the classes with our own word lists.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes import describe, spec
from eval.objects import coco_words_indoors, coco_words_outdoors


class ObjectClass(NamedTuple):
    """A class of objects, the words or phrases that name it, and phrases that contain such words but do not name it.

    Words and exclusions include their regular plurals.
    """

    name: str
    words: tuple[str, ...]
    exclusions: tuple[str, ...] = ()


# Each kind appears at most once in a scene; several stars are part of the night sky, not an object.
_SCENE_EXCLUSIONS = {"star": ("stars",)}

# COCO's 80 classes in the order of the detectors' labels, 0 to 79; and the eight kinds of objects in scenes.
COCO_CLASSES = tuple(
    ObjectClass(name, *(tuple(phrases.split(", ")) for phrases in lists))
    for name, lists in {**coco_words_outdoors.WORDS, **coco_words_indoors.WORDS}.items()
)
SCENE_CLASSES = tuple(
    ObjectClass(kind, tuple(dict.fromkeys(describe.NOUNS[kind])), _SCENE_EXCLUSIONS.get(kind, ()))
    for kind in spec.KINDS
)

# How label files of detectors spell some of COCO's names.
_SPELLINGS = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
    "hair dryer": "hair drier",
    "doughnut": "donut",
    "cellphone": "cell phone",
}


def classes_named(captions: Sequence[str], classes: Sequence[ObjectClass]) -> np.ndarray:
    """Finds the classes that each caption names.

    Only whole words and phrases count. Case is ignored, and so is whatever separates the words of a phrase ('hot-dog').
    Exclusions are removed first: 'a dog eating a hot dog' names the dog, 'a hot dog' does not. A word also does not
    count after 'no', 'without' or 'like a', or before 'shaped', 'statue', 'sculpture' or 'costume'.

    Args:
      captions: n sentences or narratives.
      classes: the classes to find.

    Returns:
      bool [n, classes].
    """
    finders = [_finder(object_class) for object_class in classes]
    # Few captions contain a word of any given class. The regular expressions are only tried on those.
    numbers: dict[str, list[int]] = {}
    for number, finder in enumerate(finders):
        for start in finder.starts:
            numbers.setdefault(start, []).append(number)
    named = np.zeros([len(captions), len(classes)], bool)
    for row, caption in zip(named, captions):
        text = _normalized(caption)
        for number in {number for word in set(text.split()) for number in numbers.get(word, ())}:
            row[number] = finders[number].is_in(text)
    return named


def detector_columns(label_names: Sequence[str], classes: Sequence[ObjectClass]) -> np.ndarray:
    """Finds the position of each class among the labels of a detector.

    Args:
      label_names: the detector's label names, in COCO's or another common spelling ('tvmonitor'); there may be more
        labels than classes.
      classes: the classes to find.

    Returns:
      int64 [classes], so that `scores[:, columns]` of scores [n, labels] is [n, classes].

    Raises:
      ValueError: the detector has no label for a class.
    """
    columns = {_SPELLINGS.get(name.lower(), name.lower()): column for column, name in enumerate(label_names)}
    unknown = [object_class.name for object_class in classes if object_class.name not in columns]
    if unknown:
        raise ValueError(
            f"the detector has no label for {_listed(unknown)}, only for {_listed(label_names)}: "
            "pass a detector, or a file of labels, that has all classes"
        )
    return np.array([columns[object_class.name] for object_class in classes], np.int64)


class _Finder(NamedTuple):
    """Finds one class in normalized captions."""

    starts: frozenset[str]  # The first words of the class's words and phrases.
    exclusions: re.Pattern[str] | None
    words: re.Pattern[str]

    def is_in(self, text: str) -> bool:
        if self.exclusions:
            text = self.exclusions.sub(".", text)
        return bool(self.words.search(f" {text}"))


# Contexts in which a word does not name an object that is there. Every word is preceded by a space.
_ABSENT = "".join(f"(?<! {words} )" for words in ("no", "without", "without a", "without an", "without any"))
_ALIKE = "(?<! like a )(?<! like an )"
_NOT_ITSELF = "(?! (?:shaped|statue|statues|sculpture|sculptures|costume|costumes)\\b)"


@functools.lru_cache(maxsize=256)
def _finder(object_class: ObjectClass) -> _Finder:
    words = [form for word in object_class.words for form in _forms(word)]
    exclusions = [form for phrase in object_class.exclusions for form in _forms(phrase)]
    return _Finder(
        frozenset(word.split()[0] for word in words),
        re.compile(rf"\b{_any_of(exclusions)}\b") if exclusions else None,
        re.compile(rf"\b{_ABSENT}{_ALIKE}{_any_of(words)}\b{_NOT_ITSELF}"),
    )


def _any_of(phrases: Sequence[str]) -> str:
    # The longest first, so that 'hot dog bun' matches before 'hot dog'.
    return f"(?:{'|'.join(sorted(phrases, key=len, reverse=True))})"


def _forms(phrase: str) -> tuple[str, str]:
    """Returns a phrase in the singular and with its last word in the plural, both normalized."""
    text = _normalized(phrase)
    if re.search(r"(?:s|x|z|ch|sh)$", text):
        return text, f"{text}es"
    if re.search(r"[^aeiou]y$", text):
        return text, f"{text[:-1]}ies"
    if re.search(r"(?:kni|lea)fe?$", text):
        return text, re.sub(r"fe?$", "ves", text)
    return text, f"{text}s"


def _normalized(text: str) -> str:
    """Lower-cases words and numbers, and joins them by spaces: "The Catcher's-mitt." -> 'the catcher s mitt'."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
