"""Files of narratives: which they are, where each line lies, and what is in it."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
from etils import epath

from data_pipelines.builders import narratives

NAMES = ("coco_val_localized_narratives", "coco_val_captions")
POINT = {"x": 0.25, "y": 0.75, "t": 0.5}
WORD = {"utterance": "ball", "start_time": 0.25, "end_time": 1.5}
NARRATIVE = {"image_id": "7", "caption": "a ball", "timed_caption": [WORD], "traces": [[POINT, POINT], [POINT]]}


def _find(folder: pathlib.Path) -> list[str]:
    return [path.name for path in narratives.find_files(epath.Path(folder), *NAMES)]


def _touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_full_files_go_before_light_ones_and_whole_ones_before_shards(tmp_path):
    assert _find(tmp_path) == []
    _touch(tmp_path, "coco_val_captions.jsonl", "coco_val_localized_narratives.txt", "coco_val_captions-a-of-b.jsonl")
    assert _find(tmp_path) == ["coco_val_captions.jsonl"]
    shards = [f"coco_val_localized_narratives-{number:05d}-of-00003.jsonl" for number in range(3)]
    _touch(tmp_path, *shards[::-1], "coco_val_localized_narratives-00000-of-00003.jsonl.part")
    assert _find(tmp_path) == shards
    (tmp_path / shards[1]).unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {shards[1]}: download"):
        _find(tmp_path)
    _touch(tmp_path, "coco_val_localized_narratives.jsonl")
    assert _find(tmp_path) == ["coco_val_localized_narratives.jsonl"]


def test_each_line_is_found_where_it_lies(tmp_path):
    ids = ["7", "abc0", "7", 12]
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    lines = [json.dumps({"caption": f'says "image_id": 5, é {i}', "image_id": id_}) for i, id_ in enumerate(ids)]
    first.write_text(f"{lines[0]}\n\n{lines[1]}\r\n  \nno narrative\n")
    second.write_text(f'{{"image_id": "cut off\n{lines[2]}\n{lines[3]}')
    found, notes, count = narratives.by_image([epath.Path(first), epath.Path(second)])
    assert {image_id: [line.name for line in of_image] for image_id, of_image in found.items()} == {
        "7": ["first.jsonl:1", "second.jsonl:2"],
        "abc0": ["first.jsonl:3"],
        "12": ["second.jsonl:3"],
    }
    assert [(note.name, note.reason) for note in notes] == [
        ("first.jsonl:5", "JSON line cut off or without image_id"),
        ("second.jsonl:1", "JSON line cut off or without image_id"),
    ]
    assert count == 6
    captions = [narratives.read(line)[0] for of_image in found.values() for line in of_image]
    assert captions == [f'says "image_id": 5, é {i}' for i in (0, 2, 1, 3)]


def _read(tmp_path: pathlib.Path, content: bytes | dict) -> tuple[str, narratives.Narrative, list[narratives.Issue]]:
    path = tmp_path / "n.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return narratives.read(narratives.Line(str(path), 0, path.stat().st_size, 1))


def test_a_good_narrative(tmp_path):
    caption, narrative, notes = _read(tmp_path, NARRATIVE)
    assert (caption, notes) == ("a ball", [])
    assert narrative.utterances == ["ball"]
    np.testing.assert_array_equal(narrative.times, [(0.25, 1.5)])
    np.testing.assert_array_equal(narrative.points, 3 * [(0.25, 0.75, 0.5)])
    np.testing.assert_array_equal(narrative.stroke_lengths, [2, 1])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"image_id": "7", "caption": "a b', "JSON line cut off or broken"),
        (b'{"image_id": "7", "caption": ' + b"[" * 100_000, "JSON line cut off or broken"),
        (b'{"image_id": "7", "caption": ' + b"7" * 5_000 + b"}", "JSON line cut off or broken"),
        (b'{"image_id": "7"}', "not a narrative"),
        (b'["image_id", "7"]', "not a narrative"),
        (b'{"image_id": "7", "caption": null}', "caption is not text"),
        (b'{"image_id": "7", "caption": "a b\xe4ll"}', "caption is not UTF-8"),
        (b'{"image_id": "7", "caption": "a \\ud800"}', "caption is not UTF-8"),
    ],
)
def test_an_unfit_caption_is_left_out(tmp_path, content, reason):
    caption, _, notes = _read(tmp_path, content)
    assert caption == ""
    # Python before 3.10.7 reads numbers of any length.
    assert [(note.action, note.what, note.name) for note in notes] == [("left out", "caption", "n.jsonl:1")]
    assert notes[0].reason == reason or (b"77777" in content and notes[0].reason == "caption is not text")


@pytest.mark.parametrize(
    "change",
    [
        {"traces": None},
        {"traces": 7},
        {"traces": [7]},
        {"traces": [[7]]},
        {"traces": {"x": [1]}},
        {"traces": [POINT]},
        {"traces": [[{**POINT, "x": "left"}]]},
        {"traces": [[{**POINT, "y": None}]]},
        {"traces": [[{"x": 0, "y": 0}]]},
        {"traces": [[{**POINT, "x": float("inf")}]]},
        {"traces": [[{**POINT, "t": float("nan")}]]},
        {"traces": [[{**POINT, "t": -3e6}]]},
        {"traces": [[{**POINT, "y": 10**400}]]},
        {"timed_caption": None},
        {"timed_caption": ["ball"]},
        {"timed_caption": [{"utterance": "ball", "start_time": 0}]},
        {"timed_caption": [{**WORD, "utterance": None}]},
        {"timed_caption": [{**WORD, "utterance": "a \ud800"}]},
        {"timed_caption": [{**WORD, "end_time": "late"}]},
        {"timed_caption": [{**WORD, "end_time": 1e6}]},
    ],
    ids=str,
)
def test_unreadable_times_or_traces_leave_the_caption(tmp_path, change):
    caption, narrative, notes = _read(tmp_path, {**NARRATIVE, **change})
    assert caption == "a ball"
    assert [(note.action, note.reason) for note in notes] == [("mended", "unreadable times or traces")]
    assert "\n" not in notes[0].detail
    assert (narrative.utterances, len(narrative.times), len(narrative.points)) == ([], 0, 0)


def test_points_outside_are_left_out_and_strokes_with_them(tmp_path):
    edges = [{"x": 0, "y": 1, "t": 0.0}, {"x": 1, "y": 0, "t": 0.1}]
    away = [{"x": -0.0001, "y": 0.5, "t": 0.2}, {"x": 0.5, "y": 1.0001, "t": 0.3}]
    caption, narrative, notes = _read(tmp_path, {**NARRATIVE, "traces": [away, [away[0], *edges, away[1]], [], edges]})
    assert caption == "a ball"
    np.testing.assert_array_equal(narrative.stroke_lengths, [2, 2])
    np.testing.assert_allclose(narrative.points, 2 * [(0, 1, 0), (1, 0, 0.1)])
    assert [(note.action, note.reason, note.detail) for note in notes] == [
        ("mended", "trace points outside [0, 1] left out", "4 of 8 points")
    ]


@pytest.mark.parametrize("change", [{"traces": []}, {"traces": [[], []]}, {"traces": ...}])
def test_a_narrative_without_traces_is_kept(tmp_path, change):
    fields = {key: value for key, value in {**NARRATIVE, **change}.items() if value is not ...}
    caption, narrative, notes = _read(tmp_path, fields)
    assert (caption, narrative.utterances, len(narrative.points)) == ("a ball", ["ball"], 0)
    assert [(note.action, note.reason) for note in notes] == [("kept", "narrative without traces")]


def test_captions_alone_lack_nothing(tmp_path):
    caption, narrative, notes = _read(tmp_path, {"image_id": "7", "caption": " a ball "})
    assert (caption, narrative.utterances, len(narrative.points)) == ("a ball", [], 0)
    assert [note.reason for note in notes] == ["stray spaces in caption"]


def test_a_byte_order_mark_costs_no_line_wherever_it_is(tmp_path):
    """Files that Windows tools wrote, and those that were appended to each other."""
    path = tmp_path / "n.jsonl"
    line = json.dumps({"image_id": "7", "caption": "a ball"}).encode()
    path.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\xef\xbb\xbf" + line)
    found, issues, _ = narratives.by_image([epath.Path(path)])
    assert not issues
    assert [narratives.read(each)[0] for each in found["7"]] == ["a ball", "a ball"]


def test_an_endless_line_is_left_out_and_not_kept_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(narratives, "_LONGEST_LINE", 100)
    path = tmp_path / "n.jsonl"
    line = json.dumps({"image_id": "7", "caption": "a ball"})
    path.write_text(f'{line}\n{{"image_id": "8", "caption": "{"a" * 1000}"}}\n{line}\n')
    found, issues, count = narratives.by_image([epath.Path(path)])
    assert [(issue.name, issue.reason) for issue in issues] == [("n.jsonl:2", "line of more than 16 MB")]
    assert [narratives.read(each)[0] for each in found["7"]] == ["a ball", "a ball"] and count == 3


def test_thousands_of_missing_shards_are_told_in_one_line(tmp_path):
    _touch(tmp_path, "coco_val_captions-00000-of-99999.jsonl")
    with pytest.raises(FileNotFoundError, match=r"and 99988 more: download") as error:
        _find(tmp_path)
    assert len(str(error.value)) < 1000
