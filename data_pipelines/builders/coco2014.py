"""COCO 2014 as published -> records; and drawn scenes, which come in the same layout.

Source: `train2014/`, `val2014/` and `annotations/{captions,instances}_{train,val}2014.json`.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
import tqdm

from data_pipelines import records
from data_pipelines.builders import pictures, skipped

# COCO's name of each split.
_SPLITS = {"train": "train2014", "validation": "val2014"}
# Pictures read ahead and checked in parallel.
_CHUNK = 128


class Coco2014(tfds.core.GeneratorBasedBuilder):
    """COCO 2014 captions (Lin et al. 2014; Chen et al. 2015), the paper's first dataset (section 5.1)."""

    VERSION = tfds.core.Version(records.VERSION)

    def __init__(self, *, source: str | os.PathLike = "", max_skipped: float = 0.01, **kwargs: Any):
        """Makes the builder.

        Args:
          source: folder in COCO 2014's layout, to make the records from.
          max_skipped: largest share of a split's pictures that may be left out as unfit.
          **kwargs: of `tfds.core.GeneratorBasedBuilder`, such as `data_dir`.
        """
        super().__init__(**kwargs)
        self._source = pathlib.Path(source).expanduser()
        self._max_skipped = max_skipped

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, description=self.__doc__, features=records.features())

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        check_source(self._source)
        return {split: self._generate_examples(split) for split in _SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        skips = skipped.SkippedLog(split)
        entries = read_annotations(self._source, split, skips)
        num_written = 0
        progress = tqdm.tqdm(total=len(entries), desc=f"converting {_SPLITS[split]}", unit="picture", disable=None)
        with progress, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(entries), _CHUNK):
                chunk = entries[start : start + _CHUNK]
                reads = [pool.submit(_fill, entry, self._source / _SPLITS[split]) for entry in chunk]
                for entry, read in zip(chunk, reads):
                    progress.update()
                    try:
                        record = read.result()
                    except ValueError as error:
                        skips.add(entry.file_name, str(error))
                        continue
                    num_written += 1
                    yield record.image_id, records.to_example(record)
        skips.write(pathlib.Path(self.data_dir) / records.SKIPPED_FILE)
        skips.check(len(entries), num_written, self._max_skipped)


class Scenes(Coco2014):
    """The embedded dataset: drawn scenes in COCO 2014's layout."""


def check_source(source: pathlib.Path) -> None:
    """Refuses a folder that is not laid out like COCO 2014.

    Raises:
      FileNotFoundError: names what is missing.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"source folder {source} does not exist")
    wanted = list(_SPLITS.values())
    wanted += [_annotations(kind, split) for split in _SPLITS for kind in ("captions", "instances")]
    missing = [name for name in wanted if not (source / name).exists()]
    if missing:
        raise FileNotFoundError(
            f"source folder {source} lacks {', '.join(missing)}: unpack COCO's train2014.zip, val2014.zip and "
            "annotations_trainval2014.zip there"
        )


def read_annotations(source: pathlib.Path, split: str, skips: skipped.SkippedLog) -> list[records.Record]:
    """Reads the captions and object classes of a split.

    Args:
      source: folder in COCO 2014's layout.
      split: 'train' or 'validation'.
      skips: gets the captions left out for being empty, and pictures listed twice.

    Returns:
      A record for each picture, in the order of the file, without the picture's bytes.

    Raises:
      ValueError: a file is not what COCO publishes.
    """
    captions_path, instances_path = (source / _annotations(kind, split) for kind in ("captions", "instances"))
    captions, labels = collections.defaultdict(list), collections.defaultdict(set)
    entries: dict[int, records.Record] = {}
    with _explained(captions_path):
        content = json.loads(captions_path.read_bytes())
        file_names = [(image["id"], image["file_name"]) for image in content["images"]]
        for annotation in content["annotations"]:
            captions[annotation["image_id"]].append(" ".join(annotation["caption"].split()))
    with _explained(instances_path):
        content = json.loads(instances_path.read_bytes())
        names = {category["id"]: category["name"] for category in content["categories"]}
        for annotation in content["annotations"]:
            labels[annotation["image_id"]].add(names[annotation["category_id"]])
    for image_id, file_name in file_names:
        if image_id in entries:
            skips.add(file_name, "duplicate id")
            continue
        for _ in range(captions[image_id].count("")):
            skips.add(file_name, "empty caption")
        entries[image_id] = records.Record(
            image=b"",
            image_id=str(image_id),
            file_name=file_name,
            captions=[caption for caption in captions[image_id] if caption],
            labels=sorted(labels[image_id]),
        )
    return list(entries.values())


def _annotations(kind: str, split: str) -> str:
    return f"annotations/{kind}_{_SPLITS[split]}.json"


@contextlib.contextmanager
def _explained(path: pathlib.Path) -> Iterator[None]:
    """Names the file in the error when its content is not COCO's."""
    try:
        yield
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON, perhaps cut off ({error}): fetch it again") from error
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a COCO annotation file ({type(error).__name__}: {error})") from error


def _fill(entry: records.Record, folder: pathlib.Path) -> records.Record:
    """Adds the picture. Raises ValueError with the reason if it, or all its captions, are unfit."""
    if not entry.captions:
        raise ValueError("no caption")
    return entry._replace(image=pictures.read_jpeg(folder / entry.file_name))
