"""The base class of the builders, which convert images and captions to records on one machine or with Apache Beam.

For each split, a builder lists the images with their captions (`Item`), grouped into independent units of work
(`Unit`). Whatever is left out or mended is listed in a file beside the records.
"""

from __future__ import annotations

import abc
import concurrent.futures
import contextlib
import functools
import itertools
import os
import pathlib
import pickle
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow_datasets as tfds
import tqdm
from etils import epath

from data_pipelines import image_files, record_index, records
from data_pipelines.builders import archived_images, captions, narratives, repeatable_writer, skipped
from data_pipelines.builders.skipped import LEFT_OUT, MENDED, Issue
from data_pipelines.image_files import StoredImage
from data_pipelines.in_order import map_in_order
from xmcgan.files import check_room, matching

if TYPE_CHECKING:
    import apache_beam as beam

# Number of images in a unit, unless its images are in an archive.
_UNIT_SIZE = 256
# The disk space needed is estimated from a sample: about this many units, and this many images of each. The factor
# covers captions, traces and headers.
_SAMPLED_UNITS, _SAMPLED_IMAGES, _SPACE_FACTOR = 20, 10, 1.1
# Folder of the units of a Beam pipeline, within the folder of the unfinished records.
_UNITS = "units"


class Item(NamedTuple):
    """An image to convert, with its captions or narratives."""

    image_id: str
    file_name: str  # Name within the folder of the split.
    path: str  # Path of its file, or within the unit's archive; empty if only its name in the archive is known.
    labels: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()  # As published.
    lines: tuple[narratives.Line, ...] = ()  # Locations of its narratives, given instead of captions.


class Unit(NamedTuple):
    """Images that one worker converts."""

    items: list[Item]
    archive: str = ""  # The tar file with the images; empty if each image is a file of its own.


class Plan(NamedTuple):
    """A split to convert."""

    units: list[Unit]
    issues: list[Issue]  # Images and captions that planning has left out already.
    num_captions: int  # Number of captions in the source.

    @property
    def num_items(self) -> int:
        """Number of images to convert."""
        return sum(len(unit.items) for unit in self.units)

    @property
    def num_images(self) -> int:
        """Number of images in the source."""
        left_out = sum((issue.action, issue.what) == (LEFT_OUT, "image") for issue in self.issues)
        return self.num_items + left_out


class Outcome(NamedTuple):
    """The result of converting an item."""

    record: records.Record | None  # None if the image was left out.
    issues: list[Issue]


class ImageBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Converts images with captions to records."""

    VERSION = tfds.core.Version(records.VERSION)

    def __init__(
        self,
        *,
        name: str,
        source: str | os.PathLike = "",
        max_skipped: float = 0.01,
        use_beam: bool = False,
        **kwargs: Any,
    ):
        """Makes the builder.

        Args:
          name: name of the dataset, and of the folder and files of its records; the name of the class may differ.
          source: folder with the files as published.
          max_skipped: largest share of a split's images, or of its captions, that may be left out as unusable.
          use_beam: whether to convert with Apache Beam; all its workers must be able to access `source` and `data_dir`.
          **kwargs: arguments of `tfds.core.GeneratorBasedBuilder`, such as `data_dir`.
        """
        self.name = name
        super().__init__(**kwargs)
        self._source = epath.Path(source).expanduser()
        self._max_skipped = max_skipped
        self._use_beam = use_beam
        self._logs: dict[str, skipped.SkippedLog] = {}

    @abc.abstractmethod
    def splits(self) -> list[str]:
        """Returns the splits in the source, after checking that the source is complete.

        Raises:
          FileNotFoundError: the source is incomplete; the message names what is missing.
        """

    @abc.abstractmethod
    def plan(self, split: str) -> Plan:
        """Lists the images to convert in a split.

        Args:
          split: one of `splits()`.

        Raises:
          ValueError: a file does not have the published format.
        """

    def check_source(self) -> None:
        """Checks that the source is complete.

        Raises:
          FileNotFoundError: the source is incomplete; the message names what is missing.
        """
        if not self._source.is_dir():
            fault = "is not a folder" if self._source.exists() else "does not exist"
            raise FileNotFoundError(f"source folder {self._source} {fault}: set --source")
        self.splits()

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, description=self.__doc__, features=records.features())

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        self.check_source()
        plans = {split: self.plan(split) for split in self.splits()}
        _check_room(plans.values(), self.data_dir)
        for split, plan in plans.items():
            totals = {"image": plan.num_images, "caption": plan.num_captions}
            self._logs[split] = skipped.SkippedLog(split, totals, self._max_skipped)
            self._logs[split].add(plan.issues)
        return {split: self._generate_examples(split, plan) for split, plan in plans.items()}

    def _generate_examples(self, split: str, plan: Plan) -> Iterator[tuple[str, dict[str, Any]]] | beam.PTransform:
        return self._pipeline(split, plan) if self._use_beam else self._examples(split, plan)

    def _examples(self, split: str, plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
        """Converts on all cores of this machine."""
        num_written = 0
        progress = tqdm.tqdm(total=plan.num_items, desc=f"converting {split}", unit=" images", disable=None)
        with progress, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            read = (each for unit in plan.units for each in _images(unit))
            for outcome in map_in_order(pool, lambda each: _convert(*each), read, ahead=8 * (os.cpu_count() or 1)):
                progress.update()
                self._logs[split].add(outcome.issues)
                if outcome.record is not None:
                    num_written += 1
                    yield outcome.record.image_id, records.to_example(outcome.record)
        self._logs[split].close(num_written)
        # TFDS now sorts the records by a hash of their ids. For tens of gigabytes this takes minutes, without output.
        tqdm.tqdm.write(f"writing {num_written:,} records of {split}", file=sys.stderr)

    def _pipeline(self, split: str, plan: Plan) -> beam.PTransform:
        """Converts with Apache Beam; units are stored in files, because a pipeline's graph cannot hold them all."""
        import apache_beam as beam

        folder = epath.Path(self.data_dir) / _UNITS / split
        folder.mkdir(parents=True)
        paths = []
        for number, unit in enumerate(plan.units):
            paths.append(os.fspath(folder / f"{number:06d}.pickle"))
            epath.Path(paths[-1]).write_bytes(pickle.dumps(unit))

        @beam.ptransform_fn
        def convert(begin: beam.Pipeline) -> beam.PCollection:
            return begin | beam.Create(paths) | beam.Reshuffle() | beam.FlatMap(_convert_unit)

        return convert()

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Lets TFDS write the records, then adds the indexes and the list of issues; TFDS renames the folder last."""
        folder = epath.Path(self.data_dir)
        try:
            super()._download_and_prepare(dl_manager, download_config)
        except Exception:
            if self._use_beam:  # If too much has been left out, this raises a clearer error.
                self._account_for_units(folder)
            raise
        if self._use_beam:
            self._account_for_units(folder)
            (folder / _UNITS).rmtree()
        for split, info in self.info.splits.items():
            self._logs[split].write(folder / records.SKIPPED_FILE)
            record_index.write(folder, split, sorted(path.name for path in info.filepaths))

    def _example_writer(self) -> Any:
        """Returns what TFDS writes with. TFDS for Python 3.9 does not ask; its Protocol Buffers keep one order."""
        return repeatable_writer.RepeatableWriter(super()._example_writer())

    def _account_for_units(self, folder: epath.Path) -> None:
        """Collects the issues that a pipeline's workers found, in the order of the units, as in `_examples`."""
        for split, log in self._logs.items():
            reports = [_report_path(unit) for unit in matching(folder / _UNITS / split, "*.pickle")]
            finished = [pickle.loads(report.read_bytes()) for report in reports if report.exists()]
            for issues, _ in finished:
                log.add(issues)
            if len(finished) == len(reports):
                log.close(sum(num_written for _, num_written in finished))


def split_into_units(items: list[Item]) -> list[Unit]:
    """Groups items into units; the image of each item must be a file of its own."""
    return [Unit(items[start : start + _UNIT_SIZE]) for start in range(0, len(items), _UNIT_SIZE)]


def _images(unit: Unit) -> Iterator[tuple[Item, Callable[[], StoredImage]]]:
    """Yields each item with a function that reads its image.

    The function raises ValueError with the reason if the image cannot be used.
    """
    if unit.archive:
        return archived_images.read_archive(unit.archive, {item.path or item.file_name: item for item in unit.items})
    return ((item, functools.partial(_read_file, item)) for item in unit.items)


def _read_file(item: Item) -> StoredImage:
    if not image_files.stays_within(item.file_name):
        raise ValueError("file outside of the source")
    return image_files.encoded_for_records(image_files.read_bytes(item.path))


def _convert(item: Item, read_image: Callable[[], StoredImage]) -> Outcome:
    """Converts an item to a record."""
    issues, usable, spoken = [], [], []
    for number, caption in enumerate(item.captions, start=1):
        caption, found = captions.clean(caption, f"{number} of {item.file_name}")
        issues += found
        usable += [caption] if caption else []
    for line in item.lines:
        caption, narrative, found = narratives.read(line)
        issues += found
        if caption in usable:
            issues.append(Issue(LEFT_OUT, "caption", line.name, "duplicate narrative"))
        elif caption:
            usable.append(caption)
            spoken.append(narrative)
    if not usable:
        return Outcome(None, [*issues, Issue(LEFT_OUT, "image", item.file_name, "image without caption")])
    try:
        image, changes = read_image()
    except ValueError as error:
        return Outcome(None, [*issues, Issue(LEFT_OUT, "image", item.file_name, str(error))])
    issues += [Issue(MENDED, "image", item.file_name, change) for change in changes]
    if not any(len(narrative.utterances) or len(narrative.points) for narrative in spoken):
        spoken = []
    return Outcome(records.Record(image, item.image_id, item.file_name, usable, item.labels, spoken), issues)


def _convert_unit(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Converts a unit in a Beam worker, and writes a report beside it; a second attempt overwrites the report."""
    unit = epath.Path(path)
    issues, num_written = [], 0
    for item, read_image in _images(pickle.loads(unit.read_bytes())):
        outcome = _convert(item, read_image)
        issues += outcome.issues
        if outcome.record is not None:
            num_written += 1
            yield outcome.record.image_id, records.to_example(outcome.record)
    temporary = unit.with_suffix(f".{uuid.uuid4().hex}")
    temporary.write_bytes(pickle.dumps((issues, num_written)))
    temporary.replace(_report_path(unit))


def _report_path(unit: epath.Path) -> epath.Path:
    """Returns the path of a worker's report on a unit: its issues, and the number of records."""
    return unit.with_suffix(".report")


def _check_room(plans: Iterable[Plan], folder: str) -> None:
    """Raises OSError if the records would not fit on the disk; their size is estimated from a sample of the images."""
    if "://" in folder:
        return
    units = [unit for plan in plans for unit in plan.units]
    sizes = []
    for unit in units[:: max(1, len(units) // _SAMPLED_UNITS)]:
        for _, read_image in itertools.islice(_images(unit), _SAMPLED_IMAGES):
            with contextlib.suppress(ValueError):
                sizes.append(len(read_image().content))
    if sizes:
        total = sum(len(unit.items) for unit in units)
        needed = _SPACE_FACTOR * total * sum(sizes) / len(sizes)
        check_room(pathlib.Path(folder).parent, needed, f"convert {total} images (estimated from {len(sizes)})")
