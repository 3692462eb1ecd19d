import pytest

from data_pipelines.scenes import spec
from eval.networks import label_maps


def test_coco91_has_coco_s_own_ids():
    names, table, _ = label_maps.load_label_map("coco91")
    assert len(names) == len(set(names)) == 80 and len(table) == 91
    # From COCO's annotations: ids on both sides of every gap.
    known = {1: "person", 11: "fire hydrant", 13: "stop sign", 25: "giraffe", 27: "backpack", 28: "umbrella"}
    known |= {31: "handbag", 44: "bottle", 46: "wine glass", 65: "bed", 67: "dining table", 70: "toilet", 72: "tv"}
    known |= {62: "chair", 18: "dog", 82: "refrigerator", 84: "book", 90: "toothbrush"}
    assert {number: names[table[number]] for number in known} == known
    assert [number for number, index in enumerate(table) if index < 0] == [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83]
    assert [index for index in table if index >= 0] == list(range(80))


def test_coco80_is_contiguous():
    names, table, _ = label_maps.load_label_map("coco80")
    assert names == label_maps.load_label_map("coco91").names
    assert table == (-1, *range(80))


def test_scenes_are_the_kinds():
    assert label_maps.load_label_map("scenes") == (spec.KINDS, (-1, *range(len(spec.KINDS))), "scenes")


def test_a_file_may_leave_ids_out(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("ball\n\n box \nétoile", encoding="utf-8")
    assert label_maps.load_label_map(str(path)) == (("ball", "box", "étoile"), (-1, 0, -1, 1, 2), "")


@pytest.mark.parametrize("content, reason", [(b"", "no names"), (b"a\nb\na\n", "'a' twice"), (b"\xff", "not a text")])
def test_refuses_files_that_are_not_lists_of_names(tmp_path, content, reason):
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"--labels='.*labels\.txt' .*{reason}"):
        label_maps.load_label_map(str(path), flag="--labels")


def test_refuses_unknown_maps():
    with pytest.raises(
        FileNotFoundError, match="--detector_labels='coco' is neither a label map nor a file: pass coco91"
    ):
        label_maps.load_label_map("coco")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    (tmp_path / "labels.txt").write_bytes("\ufeffperson\r\nbicycle\r\n".encode())
    assert label_maps.load_label_map(str(tmp_path / "labels.txt")).names == ("person", "bicycle")
