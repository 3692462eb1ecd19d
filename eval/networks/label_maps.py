"""Label maps: the class names that belong to the class ids of object detectors."""

from __future__ import annotations

import collections
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from data_pipelines.scenes import spec
from xmcgan import escapes, text_files

# COCO's 80 classes in the order of their category ids. The ids run from 1 to 90; ten of them were never used.
COCO_NAMES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
_UNUSED_COCO_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


class LabelMap(NamedTuple):
    """Names of the classes, and a table that maps the detector's ids to them."""

    names: tuple[str, ...]
    table: tuple[int, ...]  # table[id] is the index into `names`, or -1 if the id has no class.
    detector: str = ""  # Name of the detector, if only one has these classes.


def load_label_map(labels: str, *, flag: str = "--detector_labels") -> LabelMap:
    """Returns a known label map, or reads one from a file.

    Args:
      labels: 'coco91' (COCO's own ids, 1 to 90 with gaps), 'coco80' (1 to 80), 'scenes' (the kinds of drawn objects,
        from 1), or the path of a text file with one name per line. The first line has id 1; an empty line is an id
        without a class.
      flag: flag that the user passes `labels` with; used in error messages.

    Raises:
      FileNotFoundError: `labels` is neither a known map nor a file.
      ValueError: the file is not a list of distinct names.
    """
    if labels in _KNOWN:
        return _KNOWN[labels]()
    if not os.path.isfile(labels):
        raise FileNotFoundError(
            f"{flag}='{labels}' is neither a label map nor a file: pass coco91, coco80, scenes, "
            "or the path of a text file with one name per line"
        )
    try:
        lines = [line.strip() for _, line in text_files.read_lines(labels)]
    except ValueError as error:
        raise ValueError(f"{flag}='{labels}' is not a text file with one name per line: {error}") from error
    names = [line for line in lines if line]
    if not names or len(set(names)) < len(names):
        twice = next((name for name, count in collections.Counter(names).items() if count > 1), None)
        problem = "no names" if twice is None else f"the name '{escapes.excerpt(twice)}' twice"
        raise ValueError(f"{flag}='{labels}' has {problem}: give each class a line of its own")
    return _label_map(lines)


def _label_map(lines: Sequence[str]) -> LabelMap:
    """Makes a label map from the names of the ids 1, 2, ...; '' means an id without a class."""
    names = tuple(line for line in lines if line)
    return LabelMap(names, (-1, *(names.index(line) if line else -1 for line in lines)))


def _coco91() -> LabelMap:
    used = iter(COCO_NAMES)
    return _label_map(["" if number in _UNUSED_COCO_IDS else next(used) for number in range(1, 91)])


_KNOWN: dict[str, Callable[[], LabelMap]] = {
    "coco91": _coco91,
    "coco80": lambda: _label_map(COCO_NAMES),
    "scenes": lambda: _label_map(spec.KINDS)._replace(detector="scenes"),
}
