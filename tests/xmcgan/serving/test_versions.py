import os

import pytest

from xmcgan.serving.versions import find_version, new_version


def _write(folder, content="model"):
    with new_version(str(folder)) as draft:
        os.makedirs(draft.folder)
        with open(os.path.join(draft.folder, "saved_model.pb"), "w") as file:
            file.write(content)
        assert not os.path.exists(draft.path)
    return draft


def test_numbers_go_up_and_the_newest_is_found(tmp_path):
    folder = tmp_path / "model"
    assert [_write(folder).number for _ in range(3)] == [1, 2, 3]
    (folder / "1").rename(folder / "10")
    assert _write(folder).number == 11
    assert find_version(str(folder)) == str(folder / "11")
    assert find_version(str(folder / "2")) == str(folder / "2")


def test_what_fails_or_is_killed_leaves_no_version(tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(RuntimeError), new_version(str(folder)) as draft:
        os.makedirs(draft.folder)
        raise RuntimeError
    assert os.listdir(tmp_path) == []
    os.makedirs(folder / "incomplete" / "variables")  # Of a process that was killed.
    assert _write(folder).number == 1
    assert sorted(os.listdir(folder)) == ["1"]


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with (
        pytest.raises(ValueError, match=r"holds 'notes.txt', which is not a version of a model"),
        new_version(str(tmp_path)),
    ):
        pass
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("made", [False, True])
def test_no_model(made, tmp_path):
    folder = tmp_path / "model"
    if made:
        folder.mkdir()
    with pytest.raises(FileNotFoundError, match=r"write one with python -m xmcgan.export --workdir=... --output="):
        find_version(str(folder))
