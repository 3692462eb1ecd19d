"""The official caption lists: written by Python 2 and 3, damaged or malicious; and the images to generate for them."""

from __future__ import annotations

import collections
import datetime
import os
import pickle

import numpy as np
import pytest
from absl import logging

from eval.objects import soa_captions
from eval.objects.soa_captions import LabelCaptions
from eval.objects.soa_classes import COCO_CLASSES

# As Python 2 writes [{u'image_id': 42, 'id': 7, 'idx': [3, 1], 'caption': 'a dog in a caf\xc3\xa9'},
# {..., 'caption': u'a dog \u2013 na\xefve'}], without and with binary opcodes.
PYTHON_2 = {
    0: (
        b"(lp0\n(dp1\nVimage_id\np2\nI42\nsS'id'\np3\nI7\nsS'idx'\np4\n(lp5\nI3\naI1\nasS'caption'\np6\n"
        b"S'a dog in a caf\\xc3\\xa9'\np7\nsa(dp8\ng6\nVa dog \\u2013 na\xefve\np9\nsa."
    ),
    2: (
        b"\x80\x02]q\x00(}q\x01(X\x08\x00\x00\x00image_idq\x02K*U\x02idq\x03K\x07U\x03idxq\x04]q\x05(K\x03K\x01e"
        b"U\x07captionq\x06U\x10a dog in a caf\xc3\xa9q\x07u}q\x08h\x06X\x10\x00\x00\x00a dog \xe2\x80\x93 na\xc3\xaf"
        b"veq\tse."
    ),
}
READ = ["a dog in a café", "a dog – naïve"]


def _entries(*captions):
    return [
        {"image_id": 391895, "id": number, "idx": [number, 0], "caption": caption}
        for number, caption in enumerate(captions)
    ]


def _write(folder, name, content, protocol=2):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", PYTHON_2)
def test_lists_written_by_python_2(tmp_path, protocol):
    _write(tmp_path, "label_16_dog.pkl", PYTHON_2[protocol])
    assert soa_captions.load_caption_lists(tmp_path) == [LabelCaptions(16, "dog", READ)]


def test_latin_1_of_python_2(tmp_path):
    _write(tmp_path, "label_16_dog.pkl", b"(lp0\n(dp1\nS'caption'\np2\nS'a caf\\xe9'\np3\nsa.")
    assert soa_captions.load_caption_lists(tmp_path)[0].captions == ["a café"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_lists_written_by_python_3(tmp_path, protocol):
    _write(tmp_path, "label_16_dog.pkl", _entries(*READ), protocol)
    assert soa_captions.load_caption_lists(tmp_path)[0].captions == READ


def test_labels_and_names(tmp_path):
    folder = tmp_path / "l[i]sts"  # Not a pattern.
    folder.mkdir()
    for name in ("label_49_oranges.pkl", "label_04_plane.pkl", "label_0_person.pkl", "label_62.pkl"):
        _write(folder, name, _entries(name))
    (folder / "captions.pickle").write_bytes(b"another file")
    lists = soa_captions.load_caption_lists(folder)
    assert [(one.label, one.name) for one in lists] == [(0, "person"), (4, "airplane"), (49, "orange"), (62, "tv")]
    assert lists[2].captions == ["label_49_oranges.pkl"]


def test_missing_labels_are_logged(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: warnings.append(text % values))
    for label, object_class in enumerate(COCO_CLASSES):
        if object_class.name not in ("bench", "toothbrush"):
            _write(tmp_path, f"label_{label:02}_x.pkl", _entries("a thing"))
    lists = soa_captions.load_caption_lists(tmp_path)
    assert soa_captions.missing_labels(lists) == ["bench", "toothbrush"]
    assert len(warnings) == 1 and "2 classes: bench, toothbrush" in warnings[0]
    for label in (13, 79):
        _write(tmp_path, f"label_{label:02}_x.pkl", _entries("a thing"))
    assert len(soa_captions.load_caption_lists(tmp_path)) == 80
    assert len(warnings) == 1


class _Malicious:
    def __init__(self, function, *values):
        self._call = function, values

    def __reduce__(self):
        return self._call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_of_a_malicious_pickle_is_run(tmp_path, protocol):
    mark = tmp_path / "mark"
    attack = {"caption": _Malicious(os.system, f"touch {mark}")}
    path = _write(tmp_path, "label_16_dog.pkl", [*_entries("a dog"), attack], protocol)
    with pytest.raises(ValueError, match=r"label_16_dog\.pkl asks to load \w+\.system"):
        soa_captions.load_caption_lists(tmp_path)
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()  # The attack was a real one.


@pytest.mark.parametrize(
    "value, named",
    [
        (_Malicious(eval, "1"), r"\w+\.eval"),
        (_Malicious(getattr, "a", "upper"), r"\w+\.getattr"),
        (np.int64(3), r"numpy\.\S+"),
        (collections.OrderedDict(caption="a dog"), r"collections\.OrderedDict"),
        (datetime.date(2020, 1, 1), r"datetime\.date"),
    ],
)
def test_anything_but_plain_data_is_named_and_refused(tmp_path, value, named):
    _write(tmp_path, "label_16_dog.pkl", [{"caption": "a dog", "id": value}])
    with pytest.raises(ValueError, match=f"asks to load {named}, which a list of captions does not need"):
        soa_captions.load_caption_lists(tmp_path)


def test_persistent_objects_are_refused(tmp_path):
    _write(tmp_path, "label_16_dog.pkl", b"Pfile.bin\n.")
    with pytest.raises(ValueError, match="asks to load a persistent object"):
        soa_captions.load_caption_lists(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is not a readable pickle"),
        (b"<html>not found</html>", "is not a readable pickle"),
        (pickle.dumps(_entries("a dog"), 2)[:-9], "is not a readable pickle"),
        ([], "holds an empty list, not a list of captions"),
        ({"caption": "a dog"}, "holds a dict, not a list"),
        ([*_entries("a dog"), "a cat"], "entry 1: a str instead of a dict with 'caption'"),
        ([{"id": 3, "image_id": 4}], r"entry 0: 'caption' is missing among \['id', 'image_id'\]"),
        ([*_entries("a dog", "a dog"), {"caption": None}], "entry 2: 'caption' is a NoneType, not a sentence"),
        (_entries("a dog", ""), "entry 1: 'caption' is an empty str, not a sentence"),
    ],
)
def test_damaged_lists_are_refused_in_one_line(tmp_path, content, message):
    _write(tmp_path, "label_16_dog.pkl", content)
    with pytest.raises(ValueError, match=message) as error:
        soa_captions.load_caption_lists(tmp_path)
    assert "label_16_dog.pkl" in str(error.value) and "\n" not in str(error.value)


def test_every_cut_of_a_list_is_refused(tmp_path):
    whole = pickle.dumps(_entries("a dog", "a cat"), 2)
    for length in range(len(whole)):
        _write(tmp_path, "label_16_dog.pkl", whole[:length])
        with pytest.raises(ValueError, match="is not a readable pickle"):
            soa_captions.load_caption_lists(tmp_path)


@pytest.mark.parametrize("name", ["label_80_more.pkl", "label_dog.pkl", "label_016_dog.pkl"])
def test_a_name_without_a_label_is_refused(tmp_path, name):
    _write(tmp_path, name, _entries("a dog"))
    with pytest.raises(ValueError, match="its name has no label from 00 to 79"):
        soa_captions.load_caption_lists(tmp_path)


def test_two_lists_of_one_label_are_refused(tmp_path):
    for name in ("label_16_dog.pkl", "label_16_dogs.pkl"):
        _write(tmp_path, name, _entries("a dog"))
    with pytest.raises(ValueError, match=r"label_16_dog.pkl and .*label_16_dogs.pkl are lists of the same label, 16"):
        soa_captions.load_caption_lists(tmp_path)


@pytest.mark.parametrize("folder", [".", "elsewhere"])
def test_a_folder_without_lists(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match=r"No caption lists label_00_person\.pkl, .*: download the folder"):
        soa_captions.load_caption_lists(tmp_path / folder)


PERSONS = LabelCaptions(0, "person", [f"person {number}" for number in range(100)])
DOGS = LabelCaptions(16, "dog", ["a dog", "two dogs"])
CATS = LabelCaptions(15, "cat", ["a cat"])


def test_three_images_of_each_caption_and_one_of_some_persons():
    jobs = soa_captions.drawing_jobs([PERSONS, CATS, DOGS], seed=1, person_captions=40)
    assert jobs.labels.tolist() == [0] * 40 + [15] * 3 + [16] * 6
    assert jobs.captions[40:] == ["a cat"] * 3 + ["a dog"] * 3 + ["two dogs"] * 3
    persons = jobs.captions[:40]
    assert len(set(persons)) == 40 and set(persons) < set(PERSONS.captions)
    assert len(jobs.captions) == len(jobs.labels) == len(jobs.seeds)
    assert jobs.labels.dtype == jobs.seeds.dtype == np.int64


def test_all_persons_where_there_are_fewer():
    jobs = soa_captions.drawing_jobs([PERSONS], seed=1)
    assert sorted(jobs.captions) == sorted(PERSONS.captions)


def test_no_two_images_share_their_noise():
    jobs = soa_captions.drawing_jobs([PERSONS, CATS, DOGS], seed=1, images_per_caption=5)
    other = soa_captions.drawing_jobs([PERSONS, CATS, DOGS], seed=2, images_per_caption=5)
    assert len({*jobs.seeds.tolist(), *other.seeds.tolist()}) == 2 * (100 + 5 + 10)
    assert (jobs.seeds >= 0).all()


def test_jobs_depend_only_on_the_seed_and_the_label():
    jobs = soa_captions.drawing_jobs([PERSONS, DOGS], seed=1, person_captions=40)
    again = soa_captions.drawing_jobs([PERSONS, DOGS], seed=1, person_captions=40)
    other = soa_captions.drawing_jobs([PERSONS, DOGS], seed=2, person_captions=40)
    alone = soa_captions.drawing_jobs([DOGS], seed=1)
    assert jobs.captions == again.captions and (jobs.seeds == again.seeds).all()
    assert jobs.captions[:40] != other.captions[:40]
    assert (jobs.seeds[-6:] == alone.seeds).all()
