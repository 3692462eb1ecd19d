"""The JSON-lines files of Localized Narratives, for drawn scenes."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TextIO

import numpy as np

from data_pipelines.scenes import narrate, spec

_NUM_ANNOTATORS = 150


class Collection(NamedTuple):
    """The narratives of one split of a data set.

    `files` is how the names of their files begin, `num_shards` how many files there are, `recordings` the folder of
    the spoken word, `second_share` the share of images that two annotators tell of. `captions_only` means the lighter
    form: one file, without times, traces and recordings.
    """

    dataset_id: str
    files: str
    num_shards: int
    recordings: str
    second_share: float
    captions_only: bool


def lines(collection: Collection, scene: spec.Scene, image_id: str) -> list[str]:
    """One line of JSON for each narrative of an image, of which there are one or two by different annotators.

    Args:
      collection: what the image belongs to.
      scene: what it shows.
      image_id: as the data set writes it.

    Returns:
      Lines without their line breaks; a pure function of the arguments.
    """
    rng = np.random.default_rng([scene.seed, 4])
    annotators = rng.permutation(_NUM_ANNOTATORS)[: 2 if rng.random() < collection.second_share else 1]
    return [_line(collection, scene, image_id, annotator) for annotator in annotators.tolist()]


def _line(collection: Collection, scene: spec.Scene, image_id: str, annotator: int) -> str:
    narrative = narrate.narrate(scene, annotator)
    fields = {
        "dataset_id": collection.dataset_id,
        "image_id": image_id,
        "annotator_id": annotator,
        "caption": narrative.caption,
    }
    if not collection.captions_only:
        recording = f"{collection.recordings}/{collection.recordings}_{image_id}_{annotator}.ogg"
        fields.update(timed_caption=narrative.timed_caption, traces=narrative.traces, voice_recording=recording)
    return json.dumps(fields)


class Shards:
    """Open files that share the lines of a collection between them."""

    def __init__(self, files: Sequence[TextIO]):
        """Shares lines between `files`, which are open for writing."""
        self._files = files
        self._num_images = 0

    def add(self, lines_of_image: Sequence[str]) -> None:
        """Adds the narratives of the next image; two of one image go to different shards, as published."""
        for number, line in enumerate(lines_of_image):
            self._files[(self._num_images + number) % len(self._files)].write(line + "\n")
        self._num_images += 1


@contextlib.contextmanager
def shards(folder: pathlib.Path, collection: Collection) -> Iterator[Shards]:
    """Opens the files of a collection for writing, under the names that its owner publishes."""
    if collection.captions_only:
        names = [f"{collection.files}_captions"]
    elif collection.num_shards == 1:
        names = [f"{collection.files}_localized_narratives"]
    else:
        numbers = [f"{shard:05d}-of-{collection.num_shards:05d}" for shard in range(collection.num_shards)]
        names = [f"{collection.files}_localized_narratives-{number}" for number in numbers]
    with contextlib.ExitStack() as stack:
        yield Shards([stack.enter_context(open(folder / f"{name}.jsonl", "w")) for name in names])
