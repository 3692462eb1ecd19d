"""Whole downloads from a server on this machine, whose files are small and whose table is ours."""

from __future__ import annotations

import errno
import functools
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time
import types
import zipfile

import pytest

from data_pipelines import download, published_files
from tests.support import file_server
from tests.support.processes import ROOT
from xmcgan import locks

# 16 hexadecimal digits, in folders by the first of them.
TRAIN_IDS = [f"{number % 16:x}{number:015x}" for number in range(40)]
VALIDATION_IDS = [f"{number:016x}" for number in range(100, 110)]
COCO_IMAGES = {"train": 30, "val": 10}


@pytest.fixture
def server(monkeypatch):
    with file_server.running(monkeypatch) as server:
        server.kind = "s3"
        yield server


def _jpeg(name: str, size: int = 500) -> bytes:
    return random.Random(name).randbytes(size)


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _coco(year: str) -> dict[str, dict[str, bytes]]:
    """What COCO's archives hold."""
    prefix = "COCO_{split}2014_" if year == "2014" else ""
    archives = {
        f"{split}{year}.zip": {
            f"{split}{year}/{prefix.format(split=split)}{number:012d}.jpg": _jpeg(f"{split}{number}")
            for number in range(count)
        }
        for split, count in COCO_IMAGES.items()
    }
    archives[f"annotations_trainval{year}.zip"] = {
        f"annotations/{kind}_{split}{year}.json": json.dumps({kind: split}).encode()
        for kind in ("captions", "instances", "person_keypoints")
        for split in COCO_IMAGES
    }
    return archives


def _lines(ids: list[str], tag: str) -> bytes:
    lines = [json.dumps({"dataset_id": tag, "image_id": image_id, "caption": f"in {tag}"}) for image_id in ids]
    return "".join(f"{line}\n" for line in [*lines, lines[0], '{"image_id": "../../../etc/passwd"}', '{"ima']).encode()


def _publish_coco(server, monkeypatch, year: str) -> dict[str, bytes]:
    """Puts COCO on the server and into the table; returns what shall lie in the source folder."""
    archives, table = _coco(year), []
    for file in getattr(published_files, f"COCO{year}"):
        content = server.files[f"/{file.name}"] = _zip(archives[file.name])
        table.append(
            file._replace(
                url=f"{server.url}/{file.name}",
                size=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                num_images=file.num_images and len(archives[file.name]),
            )
        )
    monkeypatch.setattr(published_files, f"COCO{year}", tuple(table))
    return {name: content for members in archives.values() for name, content in members.items()}


def _publish_narratives(server, monkeypatch, table_name: str, ids: dict[str, list[str]]) -> dict[str, bytes]:
    """Puts narratives on the server, a shard speaking of some of a split's images."""
    table, served = [], {}
    files = getattr(published_files, table_name)
    for index, file in enumerate(files):
        split = next(split for split in ids if f"_{split}_" in file.name)
        shards = sum(f"_{split}_" in other.name for other in files)
        served[file.name] = server.files[f"/{file.name}"] = _lines(ids[split][index % shards :: shards], file.name)
        table.append(file._replace(url=f"{server.url}/{file.name}"))
    monkeypatch.setattr(published_files, table_name, tuple(table))
    return served


def _publish_open_images(server, monkeypatch, captions_only: bool = False) -> dict[str, bytes]:
    kind = "CAPTIONS" if captions_only else "NARRATIVES"
    expected = _publish_narratives(
        server, monkeypatch, f"LN_OPENIMAGES_{kind}", {"train": TRAIN_IDS, "validation": VALIDATION_IDS}
    )
    for split, ids in (("train", TRAIN_IDS), ("validation", VALIDATION_IDS)):
        for image_id in ids:
            content = server.files[f"/{split}/{image_id}.jpg"] = _jpeg(image_id)
            folder = f"train_{image_id[0]}" if split == "train" else split
            expected[f"{folder}/{image_id}.jpg"] = content
    folders = [
        folder._replace(url=f"{server.url}/{folder.split}", num_narratives=50, image_size=500)
        for folder in published_files.OPEN_IMAGES_FOLDERS
    ]
    monkeypatch.setattr(published_files, "OPEN_IMAGES_FOLDERS", tuple(folders))
    return expected


def _published(dataset: str) -> published_files.Published:
    """The dataset's files as the tables are now."""
    files = published_files
    return {
        "coco2014": files.Published(files.COCO2014),
        "ln_coco": files.Published(files.LN_COCO_NARRATIVES + files.COCO2017, files.LN_COCO_CAPTIONS + files.COCO2017),
        "ln_openimages": files.Published(
            files.LN_OPENIMAGES_NARRATIVES, files.LN_OPENIMAGES_CAPTIONS, files.OPEN_IMAGES_FOLDERS
        ),
    }[dataset]


def _contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_coco2014(server, monkeypatch, tmp_path):
    expected = _publish_coco(server, monkeypatch, "2014")
    download.download(_published("coco2014"), tmp_path / "new" / "coco")
    assert _contents(tmp_path / "new" / "coco") == expected
    assert not (tmp_path / "new" / "coco" / ".incomplete").exists()


def test_drawn_scenes_come_as_they_lay(server, monkeypatch, tmp_path, drawn_source):
    drawn, table = _contents(drawn_source), []
    for file in published_files.COCO2014:
        tops = {name.partition("/")[0] for name in file.unpacks_to}
        members = {name: content for name, content in drawn.items() if name.partition("/")[0] in tops}
        server.files[f"/{file.name}"] = _zip(members)
        count = file.num_images and len(members)
        table.append(file._replace(url=f"{server.url}/{file.name}", size=None, sha256=None, num_images=count))
    monkeypatch.setattr(published_files, "COCO2014", tuple(table))
    download.download(_published("coco2014"), tmp_path)
    assert _contents(tmp_path) == drawn


@pytest.mark.parametrize("captions_only", [False, True])
def test_ln_coco(server, monkeypatch, tmp_path, captions_only):
    server.kind = "gcs"
    table = f"LN_COCO_{'CAPTIONS' if captions_only else 'NARRATIVES'}"
    expected = _publish_coco(server, monkeypatch, "2017")
    expected.update(_publish_narratives(server, monkeypatch, table, {"train": ["1", "2", "3", "4"], "val": ["5"]}))
    download.download(_published("ln_coco"), tmp_path, captions_only)
    assert _contents(tmp_path) == expected


@pytest.mark.parametrize("captions_only", [False, True])
def test_ln_openimages(server, monkeypatch, tmp_path, captions_only):
    expected = _publish_open_images(server, monkeypatch, captions_only)
    download.download(_published("ln_openimages"), tmp_path, captions_only)
    assert _contents(tmp_path) == expected
    assert all(server.sent(path) == len(content) for path, content in server.files.items())  # Each was sent once.


def test_does_nothing_the_second_time(server, monkeypatch, tmp_path):
    _publish_coco(server, monkeypatch, "2014")
    _publish_open_images(server, monkeypatch)
    for dataset in ("coco2014", "ln_openimages"):
        download.download(_published(dataset), tmp_path / dataset)
    server.requests.clear()
    for dataset in ("coco2014", "ln_openimages"):
        download.download(_published(dataset), tmp_path / dataset)
    assert not server.requests


def test_both_years_of_coco_share_a_folder(server, monkeypatch, tmp_path):
    expected = _publish_coco(server, monkeypatch, "2014")
    expected.update(_publish_coco(server, monkeypatch, "2017"))
    expected.update(_publish_narratives(server, monkeypatch, "LN_COCO_CAPTIONS", {"train": ["1"], "val": ["5"]}))
    download.download(_published("coco2014"), tmp_path)
    download.download(_published("ln_coco"), tmp_path, captions_only=True)
    assert _contents(tmp_path) == expected


def test_fetches_only_what_is_missing(server, monkeypatch, tmp_path):
    expected = _publish_coco(server, monkeypatch, "2014")
    download.download(_published("coco2014"), tmp_path)
    shutil.rmtree(tmp_path / "val2014")
    next((tmp_path / "train2014").iterdir()).unlink()  # As after someone's own unpacking that was stopped.
    server.requests.clear()
    download.download(_published("coco2014"), tmp_path)
    assert _contents(tmp_path) == expected
    assert {request.path for request in server.requests} == {"/train2014.zip", "/val2014.zip"}


def test_uses_and_keeps_archives_fetched_by_hand(server, monkeypatch, tmp_path):
    expected = _publish_coco(server, monkeypatch, "2014")
    for path, content in server.files.items():
        (tmp_path / path[1:]).write_bytes(content)
        expected[path[1:]] = content
    download.download(_published("coco2014"), tmp_path)
    assert not server.requests
    assert _contents(tmp_path) == expected


def test_refuses_an_archive_fetched_by_hand_that_is_damaged(server, monkeypatch, tmp_path):
    _publish_coco(server, monkeypatch, "2014")
    (tmp_path / "val2014.zip").write_bytes(server.files["/val2014.zip"][:-1] + b"?")
    with pytest.raises(ValueError, match=r"the sha256 of .*val2014\.zip is not .*: delete it"):
        download.download(_published("coco2014"), tmp_path)
    assert (tmp_path / "val2014.zip").exists()


def test_joined_shards_count_as_there(server, monkeypatch, tmp_path):
    expected = _publish_open_images(server, monkeypatch)
    shards = [name for name in expected if "train_v6" in name]
    joined = b"".join(expected.pop(name) for name in shards)
    expected["open_images_train_v6_localized_narratives.jsonl"] = joined
    (tmp_path / "open_images_train_v6_localized_narratives.jsonl").write_bytes(joined)
    download.download(_published("ln_openimages"), tmp_path)
    assert _contents(tmp_path) == expected


def test_images_in_other_published_layouts_count_as_there(server, monkeypatch, tmp_path):
    expected = _publish_open_images(server, monkeypatch)
    (tmp_path / "train_0.tar.gz").write_bytes(b"")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / f"{TRAIN_IDS[1]}.jpg").write_bytes(_jpeg(TRAIN_IDS[1]))
    download.download(_published("ln_openimages"), tmp_path)
    elsewhere = {name for name in expected if name.startswith("train_0/")} | {f"train_1/{TRAIN_IDS[1]}.jpg"}
    found = {name for name in _contents(tmp_path) if name.startswith("train_")}
    assert found == {name for name in expected if name.startswith("train_")} - elsewhere | {"train_0.tar.gz"}


def test_counts_images_that_are_gone(server, monkeypatch, tmp_path, caplog):
    expected = _publish_open_images(server, monkeypatch)
    for image_id in TRAIN_IDS[:3]:
        del server.files[f"/train/{image_id}.jpg"]
        del expected[f"train_{image_id[0]}/{image_id}.jpg"]
    download.download(_published("ln_openimages"), tmp_path)
    assert _contents(tmp_path) == expected
    assert "3 of 40 train images are no longer available" in caplog.text


def test_says_what_to_do_when_the_owner_cannot_be_reached(monkeypatch, tmp_path, server):
    _publish_coco(server, monkeypatch, "2014")
    table = [file._replace(url=f"http://127.0.0.1:9/{file.name}") for file in published_files.COCO2014]
    monkeypatch.setattr(published_files, "COCO2014", tuple(table))
    with pytest.raises(OSError) as caught:
        download.download(_published("coco2014"), tmp_path)
    message = str(caught.value)
    assert "cannot reach http://127.0.0.1:9/annotations_trainval2014.zip" in message
    assert f"put it into {tmp_path}" in message
    assert "published at https://cocodataset.org/#download" in message
    assert "\n" not in message


def test_refuses_a_disk_that_is_too_small_before_the_first_byte(server, monkeypatch, tmp_path):
    _publish_coco(server, monkeypatch, "2014")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1000))
    with pytest.raises(
        OSError, match=r"has [\d.]+ MB free, and [\d.]+ MB are needed to download and unpack the published files"
    ):
        download.download(_published("coco2014"), tmp_path / "new")
    assert not server.requests
    assert not (tmp_path / "new").exists()


def test_room_needed_counts_each_archive_only_while_it_lasts(server, monkeypatch, tmp_path):
    _publish_coco(server, monkeypatch, "2014")
    annotations, val, train = (file.size for file in published_files.COCO2014)
    needed = 4 * annotations + val + 2 * train
    free = [needed - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=free[0]))
    with pytest.raises(OSError, match="needed to download and unpack the published files"):
        download.download(_published("coco2014"), tmp_path)
    free[0] = needed
    download.download(_published("coco2014"), tmp_path)


_KILLED = """
import json, sys
from data_pipelines import download, published_files
table = json.loads(sys.argv[2])
files = tuple(published_files.PublishedFile(*row) for row in table)
download.download(published_files.Published(files), sys.argv[1])
"""


def test_goes_on_after_being_killed(server, monkeypatch, tmp_path):
    monkeypatch.setitem(COCO_IMAGES, "train", 4000)
    expected = _publish_coco(server, monkeypatch, "2014")
    size = len(server.files["/train2014.zip"])
    assert size > 2 << 20
    server.bytes_per_second = 4e6
    arguments = [sys.executable, "-c", _KILLED, tmp_path, json.dumps(published_files.COCO2014)]
    part = tmp_path / ".incomplete" / "train2014.zip.part"
    with subprocess.Popen(arguments, cwd=ROOT) as process:
        deadline = time.monotonic() + 20
        while not part.exists() or part.stat().st_size == 0:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
    had = part.stat().st_size
    assert 0 < had < size
    assert not (tmp_path / "train2014").exists()

    server.requests.clear()
    server.bytes_per_second = None
    with subprocess.Popen(arguments, cwd=ROOT) as process:
        assert process.wait(30) == 0
    assert _contents(tmp_path) == expected
    assert [(request.path, request.range, request.sent) for request in server.requests if request.range] == [
        ("/train2014.zip", f"bytes={had}-", size - had)
    ]


def test_clears_up_after_being_killed_while_unpacking(server, monkeypatch, tmp_path):
    expected = _publish_coco(server, monkeypatch, "2014")
    aside = tmp_path / ".incomplete" / "val2014.zip.unpacked"
    (aside / "val2014").mkdir(parents=True)
    (aside / "val2014" / "half.jpg").write_bytes(b"half")
    (tmp_path / ".incomplete" / "val2014.zip").write_bytes(server.files["/val2014.zip"])
    download.download(_published("coco2014"), tmp_path)
    assert _contents(tmp_path) == expected
    assert not server.sent("/val2014.zip")

    # Killed between the move of the images and the end of their archive.
    (tmp_path / ".incomplete").mkdir()
    (tmp_path / ".incomplete" / "val2014.zip").write_bytes(server.files["/val2014.zip"])
    download.download(_published("coco2014"), tmp_path)
    assert not os.path.exists(tmp_path / ".incomplete")


def test_two_downloads_take_turns(tmp_path, monkeypatch):
    """Else each would append to the part that the other one writes."""
    at_work = []
    monkeypatch.setattr(
        download, "_download", lambda published, source, captions_only: at_work.append(os.listdir(source))
    )
    with locks.lock(str(tmp_path / ".download.lock")), pytest.raises(locks.InUseError):
        monkeypatch.setattr(locks, "lock", functools.partial(locks.lock, wait=False))
        download.download(_published("coco2014"), tmp_path)
    assert not at_work
    download.download(_published("coco2014"), tmp_path)
    assert at_work == [[".download.lock"]] and not os.listdir(tmp_path)


def test_a_complete_source_may_be_read_only(tmp_path, monkeypatch):
    def read_only(path, **options):
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr(locks, "lock", read_only)
    monkeypatch.setattr(download, "_download", lambda published, source, captions_only: None)
    download.download(_published("coco2014"), tmp_path)
