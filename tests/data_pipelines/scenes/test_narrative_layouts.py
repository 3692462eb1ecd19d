"""The written folders are those of LN-COCO and LN-OpenImages, read here with json, Pillow and tarfile alone."""

from __future__ import annotations

import collections
import hashlib
import io
import json
import re
import tarfile

import pytest
from PIL import Image

from data_pipelines.scenes import layouts, ln_coco_layout, ln_openimages_layout, narrate, sample, spec

NUM_TRAIN, NUM_VAL, SIZE, SEED = 200, 12, 32, 5
COUNTS = {"train": NUM_TRAIN, "validation": NUM_VAL}
SMALL = {"num_train": 17, "num_val": 3, "seed": SEED, "image_size": SIZE}
LIGHT_FIELDS = ["dataset_id", "image_id", "annotator_id", "caption"]
FIELDS = [*LIGHT_FIELDS, "timed_caption", "traces", "voice_recording"]


@pytest.fixture(scope="module", params=["ln_coco", "ln_openimages"])
def layout(request):
    return request.param


@pytest.fixture(scope="module")
def written(layout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / layout
    layouts.LAYOUTS[layout](folder, num_train=NUM_TRAIN, num_val=NUM_VAL, seed=SEED, image_size=SIZE)
    return folder


def _files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _narratives(folder, pattern):
    return [json.loads(line) for path in sorted(folder.glob(pattern)) for line in path.read_text().splitlines()]


def _patterns(layout, form):
    prefix = {
        "ln_coco": ("coco_train", "coco_val"),
        "ln_openimages": ("open_images_train_v6", "open_images_validation"),
    }
    return [f"{name}_{form}*.jsonl" for name in prefix[layout]]


def _ids(layout):
    """Split -> image ids as the narratives write them, in the order of the scenes."""
    if layout == "ln_openimages":
        return {
            split: [ln_openimages_layout.image_id(SEED, split, index) for index in range(count)]
            for split, count in COUNTS.items()
        }
    numbers = {"train": range(1, NUM_TRAIN + 1), "validation": range(NUM_TRAIN + 1, NUM_TRAIN + NUM_VAL + 1)}
    return {split: [str(number) for number in numbers[split]] for split in numbers}


def _image(layout, split, image_id):
    if layout == "ln_coco":
        return f"{'train2017' if split == 'train' else 'val2017'}/{int(image_id):012d}.jpg"
    return f"{f'train_{image_id[0]}' if split == 'train' else 'validation'}/{image_id}.jpg"


def test_the_files_are_those_published(layout, written):
    names = set(_files(written))
    images = {_image(layout, split, image_id) for split, ids in _ids(layout).items() for image_id in ids}
    if layout == "ln_coco":
        expected = {f"coco_train_localized_narratives-0000{shard}-of-00004.jsonl" for shard in range(4)}
        expected |= {"coco_val_localized_narratives.jsonl"}
        expected |= {"annotations/instances_train2017.json", "annotations/instances_val2017.json"}
    else:
        expected = {f"open_images_train_v6_localized_narratives-0000{shard}-of-00010.jsonl" for shard in range(10)}
        expected |= {"open_images_validation_localized_narratives.jsonl"}
        assert all((written / f"train_{digit}").is_dir() for digit in "0123456789abcdef")
    assert names == images | expected
    for name in images:
        with Image.open(written / name) as image:
            assert image.format == "JPEG" and image.size == (SIZE, SIZE)


def test_every_image_is_told_of_by_one_or_two_annotators(layout, written):
    dataset_ids = {
        "ln_coco": ("mscoco_train2017", "mscoco_val2017"),
        "ln_openimages": ("open_images_train", "open_images_validation"),
    }
    recordings = {"ln_coco": ("coco_train", "coco_val"), "ln_openimages": dataset_ids["ln_openimages"]}
    for number, split in enumerate(sample.SPLITS):
        narratives = _narratives(written, _patterns(layout, "localized_narratives")[number])
        annotators = collections.defaultdict(list)
        ids = _ids(layout)[split]
        for narrative in narratives:
            assert list(narrative) == FIELDS
            assert narrative["dataset_id"] == dataset_ids[layout][number]
            image_id, annotator = narrative["image_id"], narrative["annotator_id"]
            recording = recordings[layout][number]
            assert narrative["voice_recording"] == f"{recording}/{recording}_{image_id}_{annotator}.ogg"
            annotators[image_id].append(annotator)
            scene = sample.sample_scene(SEED, split, ids.index(image_id))
            told = narrate.narrate(scene, annotator)
            assert narrative["caption"] == told.caption
            assert narrative["timed_caption"] == told.timed_caption and narrative["traces"] == told.traces
        assert set(annotators) == set(ids)
        assert all(len(set(of_image)) == len(of_image) <= 2 for of_image in annotators.values())
        if split == "train":
            share = {"ln_coco": ln_coco_layout.SECOND_SHARE, "ln_openimages": ln_openimages_layout.SECOND_SHARE}
            assert len(narratives) / NUM_TRAIN - 1 == pytest.approx(share[layout], abs=0.06)


def test_narratives_are_spread_over_the_shards(layout, written):
    shards = sorted(written.glob(_patterns(layout, "localized_narratives")[0]))
    narratives = {shard: _narratives(written, shard.name) for shard in shards}
    assert min(len(lines) for lines in narratives.values()) >= NUM_TRAIN // len(shards)
    for lines in narratives.values():  # Two of one image are apart: who reads one shard at a time must join them.
        assert len({narrative["image_id"] for narrative in lines}) == len(lines)


def test_objects_of_ln_coco_are_those_of_coco2014(tmp_path):
    layouts.write_ln_coco(tmp_path / "ln_coco", **SMALL)
    layouts.write_coco2014(tmp_path / "coco2014", **SMALL)
    for split in ("train", "val"):
        of_2017 = json.loads((tmp_path / f"ln_coco/annotations/instances_{split}2017.json").read_text())
        of_2014 = json.loads((tmp_path / f"coco2014/annotations/instances_{split}2014.json").read_text())
        assert of_2017["annotations"] == of_2014["annotations"] and of_2017["categories"] == of_2014["categories"]
        assert [category["name"] for category in of_2017["categories"]] == list(spec.KINDS)
        assert of_2017["info"]["year"] == 2017
        for new, old in zip(of_2017["images"], of_2014["images"]):
            assert new["file_name"] == f"{new['id']:012d}.jpg" and new["id"] == old["id"]
            images = (f"ln_coco/{split}2017/{new['file_name']}", f"coco2014/{split}2014/{old['file_name']}")
            assert len({(tmp_path / image).read_bytes() for image in images}) == 1


def test_the_lighter_form_says_the_same(layout, tmp_path):
    layouts.LAYOUTS[layout](tmp_path / "full", **SMALL)
    layouts.LAYOUTS[layout](tmp_path / "light", **SMALL, captions_only=True)
    assert {path.name for path in (tmp_path / "light").glob("*.jsonl")} == {
        pattern.replace("*", "") for pattern in _patterns(layout, "captions")
    }
    for light, full in zip(_patterns(layout, "captions"), _patterns(layout, "localized_narratives")):
        narratives = _narratives(tmp_path / "light", light)
        assert all(list(narrative) == LIGHT_FIELDS for narrative in narratives)
        cut = [
            {field: narrative[field] for field in LIGHT_FIELDS} for narrative in _narratives(tmp_path / "full", full)
        ]
        assert sorted(narratives, key=json.dumps) == sorted(cut, key=json.dumps)


def test_archives_hold_the_files_of_the_folders(tmp_path):
    layouts.write_ln_openimages(tmp_path / "folders", **SMALL)
    layouts.write_ln_openimages(tmp_path / "archives", **SMALL, archives=True)
    unpacked, others = {}, {}
    for name, data in _files(tmp_path / "archives").items():
        if name.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                members = archive.getmembers()
                assert [member.name for member in members] == sorted(member.name for member in members)
                for member in members:
                    assert member.isfile() and member.mtime == 0 and member.name.startswith(f"{name[:-7]}/")
                    unpacked[member.name] = archive.extractfile(member).read()
        else:
            others[name] = data
    assert {**unpacked, **others} == _files(tmp_path / "folders")
    assert not [path for path in (tmp_path / "archives").iterdir() if path.is_dir()]
    assert len(list((tmp_path / "archives").glob("*.tar.gz"))) == 17


def test_the_same_seed_writes_the_same_bytes_whatever_the_processes(layout, tmp_path):
    options = {"archives": True} if layout == "ln_openimages" else {}

    def fingerprint(name, **changes):
        layouts.LAYOUTS[layout](tmp_path / name, **{**SMALL, **options, **changes})
        return {name: hashlib.sha256(data).hexdigest() for name, data in _files(tmp_path / name).items()}

    first = fingerprint("one", num_processes=1)
    assert first == fingerprint("two", num_processes=2)
    assert first != fingerprint("other", seed=SEED + 1)


def test_ids_of_open_images_are_distinct_and_spread():
    ids = [ln_openimages_layout.image_id(1, split, index) for split in sample.SPLITS for index in range(4000)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", image_id) for image_id in ids)
    firsts = collections.Counter(image_id[0] for image_id in ids)
    assert len(firsts) == 16 and max(firsts.values()) < 1.3 * min(firsts.values())
    assert ids[0] != ln_openimages_layout.image_id(2, "train", 0)


def test_a_folder_in_use_is_left_alone_and_a_broken_run_shows_nothing(layout, tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="is not empty"):
        layouts.LAYOUTS[layout](tmp_path, num_train=1, num_val=1)
    with pytest.raises(ValueError, match="at least one scene"):
        layouts.LAYOUTS[layout](tmp_path / "new", num_train=1, num_val=0)

    def fail(*_):
        raise OSError("no space left")

    with monkeypatch.context() as broken, pytest.raises(OSError, match="no space left"):
        broken.setattr(narrate, "narrate", fail)
        layouts.LAYOUTS[layout](tmp_path / "new", **SMALL)
    assert not (tmp_path / "new").exists()
    layouts.LAYOUTS[layout](tmp_path / "new", **SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "new"}


def test_the_command_refuses_options_that_do_not_apply(command, tmp_path):
    arguments = (f"--output={tmp_path / 'new'}", "--num_images=2", "--image_size=32")
    running = [
        command("data_pipelines.scenes", "--layout=ln_coco", "--archives", *arguments),
        command("data_pipelines.scenes", "--captions_only", *arguments),
        command("data_pipelines.scenes", "--layout=ln_openimages", "--archives", "--captions_only", *arguments),
    ]
    (_, archives), (_, captions), (told, _) = (process.communicate(timeout=60) for process in running)
    assert [process.returncode for process in running] == [2, 2, 0]
    assert re.fullmatch(r"error: --archives does not apply to --layout=ln_coco: .*ln_openimages.*\n", archives)
    assert re.fullmatch(r"error: --captions_only does not apply to --layout=coco2014: .*ln_coco.*\n", captions)
    assert told == f"scenes in {tmp_path / 'new'}\n"
    assert (tmp_path / "new" / "open_images_train_v6_captions.jsonl").exists()
