"""Downloads a dataset's published files into the layout that its converter reads.

Existing files are kept. COCO's archives are unpacked and deleted. An archive that the user downloaded into the folder
is verified, unpacked and kept. From Open Images, only images with a narrative are downloaded. They come one by
one and go to the folders that the archives would unpack to. A later run resumes an interrupted one; unfinished files
are in the subfolder `.incomplete`.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

import requests
from absl import logging

from data_pipelines import published_files
from data_pipelines.fetching import archives, checksums, many_files, one_file, open_images, server
from data_pipelines.published_files import Published
from xmcgan import locks
from xmcgan.files import READ_ONLY, check_room

_WORK_FOLDER, _LOCK = ".incomplete", ".download.lock"


def download(published: Published, source: str | os.PathLike, captions_only: bool = False) -> None:
    """Downloads those published files of a dataset that are not yet in a folder.

    Args:
      published: the dataset's files.
      source: folder for the files, in the layout that they are published in; created if needed.
      captions_only: for Localized Narratives, download the smaller files without timed words and mouse traces.

    Raises:
      ValueError: a file has the wrong size or checksum, or an archive is damaged.
      server.FetchError: a file cannot be downloaded. The message names the file, where to download it by hand, and
        where to put it. This is a subclass of OSError.
      OSError: the disk does not have enough free space.
    """
    source = pathlib.Path(source).expanduser()
    with _alone_in(source):
        _download(published, source, captions_only)


@contextlib.contextmanager
def _alone_in(source: pathlib.Path) -> Iterator[None]:
    """Lets other downloads into the folder wait; one that cannot be written to is not locked, and may be complete."""
    with contextlib.ExitStack() as stack:
        if not source.exists():
            stack.callback(_remove_if_empty, source)
        try:
            source.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.lock(os.path.join(source, _LOCK)))
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
        yield


def _remove_if_empty(folder: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _download(published: Published, source: pathlib.Path, captions_only: bool) -> None:
    files = published.light_files if captions_only and published.light_files else published.files
    folders = published.image_folders
    for file in files:
        shutil.rmtree(_unpacked(file, source), ignore_errors=True)  # Left by an interrupted run; it takes up space.
    missing = [file for file in files if not _is_there(file, source)]
    with server.session() as connection:
        sizes = {file.name: _size(connection, file, source) for file in missing}
        # An upper bound. Which images are needed is known only once all narratives are there. The room for them is
        # then checked again.
        later = sum(_most_bytes(folder, source) for folder in folders) if missing else 0
        check_room(source, _peak(missing, sizes, source) + later, "download and unpack the published files")
        for file in missing:
            _provide(connection, file, source)
    for folder in folders:
        narratives = [file for file in files if file.name.startswith(f"open_images_{folder.split}_")]
        _provide_images(folder, {_place(file, source) for file in narratives}, source)
    for file in files:
        if file.unpacks_to:
            _target(file, source).unlink(missing_ok=True)  # Left by a run that was interrupted just before this.
    with contextlib.suppress(OSError):  # Not empty if another dataset's download into this folder was interrupted.
        (source / _WORK_FOLDER).rmdir()


def _is_there(file: published_files.PublishedFile, source: pathlib.Path) -> bool:
    """Returns whether the folder holds everything that the builders need from a file."""
    if not file.unpacks_to:
        return _place(file, source).exists()
    if not all((source / name).exists() for name in file.unpacks_to):
        return False
    # The user may have unpacked only some of the images.
    return not file.num_images or _count(source / file.unpacks_to[0]) >= file.num_images


def _place(file: published_files.PublishedFile, source: pathlib.Path) -> pathlib.Path:
    """Returns the path of a file that is not unpacked: its own, or that of the file that joins all its shards."""
    if file.whole_name is not None and (source / file.whole_name).exists():
        return source / file.whole_name
    return source / file.name


def _count(folder: pathlib.Path) -> int:
    with os.scandir(folder) as entries:
        return sum(1 for _ in entries)


def _target(file: published_files.PublishedFile, source: pathlib.Path) -> pathlib.Path:
    """Returns the path to download a file to. Archives go into the work folder, because we delete them."""
    return (source / _WORK_FOLDER if file.unpacks_to else source) / file.name


def _unpacked(file: published_files.PublishedFile, source: pathlib.Path) -> pathlib.Path:
    """Returns the temporary folder that an archive is unpacked into."""
    return source / _WORK_FOLDER / f"{file.name}.unpacked"


def _size(connection: requests.Session, file: published_files.PublishedFile, source: pathlib.Path) -> int | None:
    """Returns the size of a file in bytes: the known one, or else the server's, which may be None."""
    if file.size is not None:
        return file.size
    with _with_remedy(_by_hand(file, source)), server.get(connection, file.url, head=True) as response:
        return server.read_metadata(response).size


def _peak(missing: list[published_files.PublishedFile], sizes: dict[str, int | None], source: pathlib.Path) -> int:
    """Returns the largest number of additional bytes on the disk while files are downloaded and unpacked one by one."""
    held = peak = 0
    for file in missing:
        size = sizes[file.name] or 0
        target = _target(file, source)
        is_complete = target.exists() or (source / file.name).exists()
        present = size if is_complete else one_file.part_size(target)
        unpacked = size * file.unpacked_ratio if file.unpacks_to else 0
        peak = max(peak, held + size - present + unpacked)
        held += unpacked if file.unpacks_to else size - present
    return peak


def _provide(connection: requests.Session, file: published_files.PublishedFile, source: pathlib.Path) -> None:
    """Downloads one file, unless the user has already done so, and unpacks it if it is an archive."""
    logging.info("downloading %s, published at %s", file.name, file.page)
    own, target = source / file.name, _target(file, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.unpacks_to and own.exists():
        try:
            one_file.verify(own, file.size, checksums.Checksum("sha256", file.sha256) if file.sha256 else None)
        except ValueError as error:
            raise ValueError(f"{error}: delete it, and run this again to download it") from error
        target = own
    elif not target.exists():
        with _with_remedy(_by_hand(file, source)):
            one_file.fetch(connection, file.url, target, file.size, file.sha256)
    if file.unpacks_to:
        archives.unpack(target, source, _unpacked(file, source))
        if target is not own:
            target.unlink()


def _most_bytes(folder: published_files.ImageFolder, source: pathlib.Path) -> int:
    """Estimates the largest number of bytes that the missing images can take."""
    return max(0, folder.num_narratives - open_images.count(folder, source)) * folder.image_size


def _provide_images(folder: published_files.ImageFolder, narratives: set[pathlib.Path], source: pathlib.Path) -> None:
    """Downloads the images that the narratives of a split describe."""
    wanted, total = open_images.wanted(folder, sorted(narratives), source)
    if not wanted:
        return
    logging.info("downloading %d of %d %s images, published at %s", len(wanted), total, folder.split, folder.page)
    check_room(source, len(wanted) * folder.image_size, f"download {len(wanted)} {folder.split} images")
    for parent in {file.path.parent for file in wanted}:
        parent.mkdir(parents=True, exist_ok=True)
    with _with_remedy(f"download the archives by hand and put them into {source} (published at {folder.page})"):
        gone = many_files.fetch_all(wanted, f"downloading {folder.split} images")
    if gone:
        logging.warning(
            "%d of %d %s images are no longer available (first: %s): the conversion will count them as missing",
            len(gone),
            total,
            folder.split,
            gone[0].url,
        )


@contextlib.contextmanager
def _with_remedy(by_hand: str) -> Iterator[None]:
    """Adds to a FetchError what the user can do about it."""
    try:
        yield
    except server.FetchError as error:
        raise server.FetchError(f"{error}: run this again to resume, or {by_hand}") from error


def _by_hand(file: published_files.PublishedFile, source: pathlib.Path) -> str:
    return f"download it by hand, put it into {source} and run this again (published at {file.page})"
