"""What the builders share: images and captions -> records, on the cores of one machine or by Apache Beam.

A builder lists, for each split, the images with what is said of them (`Item`), in units that can be worked on
anywhere (`Unit`). What is left out or mended on the way is noted, and the notes lie beside the records.
"""

from __future__ import annotations

import abc
import collections
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

from data_pipelines import record_index, records
from data_pipelines.builders import captions, jpeg_files, narratives, skipped
from data_pipelines.builders.skipped import LEFT_OUT, Note
from xmcgan.files import check_room

if TYPE_CHECKING:
    import apache_beam as beam

# Images of a unit that comes from a folder.
_UNIT_SIZE = 256
# Images that the disk space needed is estimated from, and its ratio to theirs: for captions, traces and headers.
_SAMPLED_UNITS, _SAMPLED_IMAGES, _ROOM = 20, 10, 1.1
# Folder of the work units of a Beam pipeline, among the unfinished records.
_UNITS = "units"


class Item(NamedTuple):
    """An image to be converted, and what is said of it."""

    image_id: str
    file_name: str  # Within its split's folder.
    path: str  # Of its file; empty if the unit's archive holds it.
    labels: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()  # As published.
    lines: tuple[narratives.Line, ...] = ()  # Of the narratives that tell of it, instead of captions.


class Unit(NamedTuple):
    """Images that one worker converts."""

    items: list[Item]
    archive: str = ""  # The tar file that they are in; empty: each is a file of its own.


class Plan(NamedTuple):
    """A split to be converted."""

    units: list[Unit]
    notes: list[Note]  # What has been left out already.
    num_captions: int  # In the source.

    @property
    def num_items(self) -> int:
        """Images to be converted."""
        return sum(len(unit.items) for unit in self.units)

    @property
    def num_images(self) -> int:
        """How many there are in the source."""
        return self.num_items + sum(note.what == "image" for note in self.notes)


class Outcome(NamedTuple):
    """What has become of an item."""

    record: records.Record | None
    notes: list[Note]


class ImageBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Makes records of images with captions."""

    VERSION = tfds.core.Version(records.VERSION)

    def __init__(
        self, *, source: str | os.PathLike = "", max_skipped: float = 0.01, use_beam: bool = False, **kwargs: Any
    ):
        """Makes the builder.

        Args:
          source: folder with the files as published.
          max_skipped: largest share of a split's images, or captions, that may be left out as unfit.
          use_beam: whether to work in an Apache Beam pipeline; `source` and `data_dir` then lie where all its workers
            reach them.
          **kwargs: of `tfds.core.GeneratorBasedBuilder`, such as `data_dir`.
        """
        super().__init__(**kwargs)
        self._source = epath.Path(source).expanduser()
        self._max_skipped = max_skipped
        self._use_beam = use_beam
        self._logs: dict[str, skipped.SkippedLog] = {}

    @abc.abstractmethod
    def splits(self) -> list[str]:
        """The splits that the source holds, once it has proved to be complete.

        Raises:
          FileNotFoundError: names what is missing.
        """

    @abc.abstractmethod
    def plan(self, split: str) -> Plan:
        """Lists what there is to convert.

        Args:
          split: one of `splits`.

        Raises:
          ValueError: a file is not what its owner publishes.
        """

    def check_source(self) -> None:
        """Refuses a source that is not complete.

        Raises:
          FileNotFoundError: names what is missing.
        """
        if not self._source.is_dir():
            raise FileNotFoundError(f"source folder {self._source} does not exist: name it by --source")
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
            self._logs[split].add(plan.notes)
        return {split: self._generate_examples(split, plan) for split, plan in plans.items()}

    def _generate_examples(self, split: str, plan: Plan) -> Iterator[tuple[str, dict[str, Any]]] | beam.PTransform:
        return self._pipeline(split, plan) if self._use_beam else self._examples(split, plan)

    def _examples(self, split: str, plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
        """Converts on all cores of this machine."""
        num_written = 0
        progress = tqdm.tqdm(total=plan.num_items, desc=f"converting {split}", unit=" images", disable=None)
        with progress, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            read = (each for unit in plan.units for each in _images(unit))
            for outcome in _in_order(pool, lambda each: _convert(*each), read, ahead=8 * (os.cpu_count() or 1)):
                progress.update()
                self._logs[split].add(outcome.notes)
                if outcome.record is not None:
                    num_written += 1
                    yield outcome.record.image_id, records.to_example(outcome.record)
        self._logs[split].close(num_written)
        # TFDS now sorts the records by a hash of their ids, which for tens of gigabytes takes minutes in silence.
        tqdm.tqdm.write(f"writing {num_written:,} records of {split}", file=sys.stderr)

    def _pipeline(self, split: str, plan: Plan) -> beam.PTransform:
        """Converts in an Apache Beam pipeline. Its units wait in files: together they are too large for its graph."""
        import apache_beam as beam

        folder = epath.Path(self.data_dir) / _UNITS / split
        folder.mkdir(parents=True)
        paths = []
        for number, unit in enumerate(plan.units):
            paths.append(os.fspath(folder / f"{number:06d}.pickle"))
            epath.Path(paths[-1]).write_bytes(pickle.dumps(unit))

        @beam.ptransform_fn
        def convert(begin: beam.Pipeline) -> beam.PCollection:
            return begin | beam.Create(paths) | beam.Reshuffle() | beam.FlatMap(_examples_of_unit)

        return convert()

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Lets TFDS write the records, then the files beside them: all in the folder that TFDS renames at the end."""
        folder = epath.Path(self.data_dir)
        try:
            super()._download_and_prepare(dl_manager, download_config)
        except Exception:
            if self._use_beam:  # What has been left out may be the cause, and is then the clearer message.
                self._account_for_units(folder)
            raise
        if self._use_beam:
            self._account_for_units(folder)
            (folder / _UNITS).rmtree()
        for split, info in self.info.splits.items():
            self._logs[split].write(folder / records.SKIPPED_FILE)
            record_index.write(folder, split, sorted(path.name for path in info.filepaths))

    def _account_for_units(self, folder: epath.Path) -> None:
        """Takes the notes of a pipeline's workers, in the order of the units, as if they had been converted here."""
        for split, log in self._logs.items():
            reports = [_report_of(unit) for unit in sorted((folder / _UNITS / split).glob("*.pickle"))]
            finished = [pickle.loads(report.read_bytes()) for report in reports if report.exists()]
            for notes, _ in finished:
                log.add(notes)
            if len(finished) == len(reports):
                log.close(sum(num_written for _, num_written in finished))


def units_of(items: list[Item]) -> list[Unit]:
    """Units of items whose images are files."""
    return [Unit(items[start : start + _UNIT_SIZE]) for start in range(0, len(items), _UNIT_SIZE)]


def _images(unit: Unit) -> Iterator[tuple[Item, Callable[[], bytes]]]:
    """Each item with what reads its image, or raises ValueError with the reason if it is unfit."""
    if unit.archive:
        return jpeg_files.read_archive(unit.archive, {item.file_name: item for item in unit.items})
    return ((item, functools.partial(jpeg_files.read_jpeg, item.path)) for item in unit.items)


def _convert(item: Item, read_image: Callable[[], bytes]) -> Outcome:
    """Puts the record of an item together."""
    notes, told, spoken = [], [], []
    for number, caption in enumerate(item.captions, start=1):
        caption, found = captions.clean(caption, f"{number} of {item.file_name}")
        notes += found
        told += [caption] if caption else []
    for line in item.lines:
        caption, narrative, found = narratives.read(line)
        notes += found
        if caption in told:
            notes.append(Note(LEFT_OUT, "caption", line.name, "duplicate narrative"))
        elif caption:
            told.append(caption)
            spoken.append(narrative)
    if not told:
        return Outcome(None, [*notes, Note(LEFT_OUT, "image", item.file_name, "image without caption")])
    try:
        image = read_image()
    except ValueError as error:
        return Outcome(None, [*notes, Note(LEFT_OUT, "image", item.file_name, str(error))])
    if not any(len(narrative.utterances) or len(narrative.points) for narrative in spoken):
        spoken = []
    return Outcome(records.Record(image, item.image_id, item.file_name, told, item.labels, spoken), notes)


def _examples_of_unit(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A Beam worker's part; the notes go into a file beside the unit's, and a second attempt writes the same again."""
    unit = epath.Path(path)
    notes, num_written = [], 0
    for item, read_image in _images(pickle.loads(unit.read_bytes())):
        outcome = _convert(item, read_image)
        notes += outcome.notes
        if outcome.record is not None:
            num_written += 1
            yield outcome.record.image_id, records.to_example(outcome.record)
    temporary = unit.with_suffix(f".{uuid.uuid4().hex}")
    temporary.write_bytes(pickle.dumps((notes, num_written)))
    temporary.replace(_report_of(unit))


def _report_of(unit: epath.Path) -> epath.Path:
    """Where the worker on a unit reports what it noted, and how many records it made."""
    return unit.with_suffix(".report")


def _in_order(pool: concurrent.futures.Executor, function: Callable, arguments: Iterable, ahead: int) -> Iterator[Any]:
    """`pool.map`, but no more than `ahead` arguments are drawn before their results are asked for."""
    arguments = iter(arguments)
    waiting = collections.deque(pool.submit(function, each) for each in itertools.islice(arguments, ahead))
    while waiting:
        yield waiting.popleft().result()
        waiting.extend(pool.submit(function, each) for each in itertools.islice(arguments, 1))


def _check_room(plans: Iterable[Plan], folder: str) -> None:
    """Refuses to begin what the disk cannot hold; some images stand for all of them."""
    if "://" in folder:
        return
    units = [unit for plan in plans for unit in plan.units]
    sizes = []
    for unit in units[:: max(1, len(units) // _SAMPLED_UNITS)]:
        for _, read_image in itertools.islice(_images(unit), _SAMPLED_IMAGES):
            with contextlib.suppress(ValueError):
                sizes.append(len(read_image()))
    if sizes:
        total = sum(len(unit.items) for unit in units)
        needed = _ROOM * total * sum(sizes) / len(sizes)
        check_room(pathlib.Path(folder).parent, needed, f"convert {total} images (estimated from {len(sizes)})")
