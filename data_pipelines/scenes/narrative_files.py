"""Writes the JSON Lines files of Localized Narratives for drawn scenes."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TextIO

import numpy as np

from data_pipelines.scenes import narrate, spec

_NUM_ANNOTATORS = 150


class NarrativeSplit(NamedTuple):
    """How the narratives of one split of a dataset are written.

    Attributes:
      dataset_id: id of the split in Localized Narratives.
      file_prefix: prefix of the file names.
      num_shards: number of files.
      recordings_folder: folder of the voice recordings.
      second_share: share of images that have narratives by two annotators.
      captions_only: whether to write the smaller form, one file without times, traces and recordings.
    """

    dataset_id: str
    file_prefix: str
    num_shards: int
    recordings_folder: str
    second_share: float
    captions_only: bool


def lines(narrative_split: NarrativeSplit, scene: spec.Scene, image_id: str) -> list[str]:
    """Returns one line of JSON for each narrative of an image; there is one, or two by different annotators.

    Args:
      narrative_split: the split that the image belongs to.
      scene: the scene that the image shows.
      image_id: id of the image, as the dataset writes it.

    Returns:
      The lines, without line breaks; a pure function of the arguments.
    """
    rng = np.random.default_rng([scene.seed, 4])
    annotators = rng.permutation(_NUM_ANNOTATORS)[: 2 if rng.random() < narrative_split.second_share else 1]
    return [_line(narrative_split, scene, image_id, annotator) for annotator in annotators.tolist()]


def _line(narrative_split: NarrativeSplit, scene: spec.Scene, image_id: str, annotator: int) -> str:
    narrative = narrate.narrate(scene, annotator)
    fields = {
        "dataset_id": narrative_split.dataset_id,
        "image_id": image_id,
        "annotator_id": annotator,
        "caption": narrative.caption,
    }
    if not narrative_split.captions_only:
        folder = narrative_split.recordings_folder
        recording = f"{folder}/{folder}_{image_id}_{annotator}.ogg"
        fields.update(timed_caption=narrative.timed_caption, traces=narrative.traces, voice_recording=recording)
    return json.dumps(fields)


class Shards:
    """Distributes the lines of a split over its open files."""

    def __init__(self, files: Sequence[TextIO]):
        """Distributes lines over `files`, which are open for writing."""
        self._files = files
        self._num_images = 0

    def add(self, lines_of_image: Sequence[str]) -> None:
        """Adds the narratives of the next image; two narratives of an image go to different shards, as published."""
        for number, line in enumerate(lines_of_image):
            self._files[(self._num_images + number) % len(self._files)].write(line + "\n")
        self._num_images += 1


@contextlib.contextmanager
def shards(folder: pathlib.Path, narrative_split: NarrativeSplit) -> Iterator[Shards]:
    """Opens the files of a split for writing, under their published names."""
    if narrative_split.captions_only:
        names = [f"{narrative_split.file_prefix}_captions"]
    elif narrative_split.num_shards == 1:
        names = [f"{narrative_split.file_prefix}_localized_narratives"]
    else:
        numbers = [f"{shard:05d}-of-{narrative_split.num_shards:05d}" for shard in range(narrative_split.num_shards)]
        names = [f"{narrative_split.file_prefix}_localized_narratives-{number}" for number in numbers]
    with contextlib.ExitStack() as stack:
        yield Shards([stack.enter_context(open(folder / f"{name}.jsonl", "w")) for name in names])
