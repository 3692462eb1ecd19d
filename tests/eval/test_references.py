"""Reference statistics of the real images: computed once, and again for other images, lists or networks."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.input_pipeline import CaptionList
from eval.measures.measure import Reference
from eval.references import find_references
from eval.score import HIGHER, Score
from tests.support.numbers_source import SIZE, Numbers, Squares

LISTED = CaptionList([f"caption {i}" for i in range(SIZE)], [str(i) for i in range(SIZE)])


class _Sums(Squares):
    """A measure whose reference is a sum of squares; measures with different names are different."""

    def __init__(self, name="a"):
        self.title, self.identity, self.weights = f"sums {name}", {"name": name}, ""

    def refer(self, seen, listed):
        total = seen.whole("squares").sum()
        return Reference({"total": total[np.newaxis]}, [Score("sum", float(total), 0.5, HIGHER, "%")])


def _references(tmp_path, source, measures, seed=0):
    return find_references(
        measures,
        source,
        LISTED,
        dataset="scenes",
        data_dir=str(tmp_path),
        captions_identity={"seed": seed},
        strategy=tf.distribute.get_strategy(),
        batch_size=8,
    )


def test_real_images_are_processed_once(tmp_path):
    first, again = Numbers(), Numbers()
    (made,) = _references(tmp_path, first, [_Sums()])
    (read,) = _references(tmp_path, again, [_Sums()])
    assert (first.given, again.given) == (3, 0)
    expected = float((np.arange(SIZE) ** 2).sum())
    for reference in (made, read):
        assert reference.arrays["total"] == expected
        assert reference.scores == [Score("sum", expected, 0.5, HIGHER, "%")]
    # Nothing else is left, such as the rows of each image.
    assert sorted(path.suffix for path in (tmp_path / "scenes" / "evaluation").iterdir()) == [".npz"]


def test_only_missing_references_are_computed(tmp_path):
    _references(tmp_path, Numbers(), [_Sums("a")])
    source = Numbers()
    kept = _references(tmp_path, source, [_Sums("b"), _Sums("a")])
    assert source.given == 3
    assert len(kept) == 2
    for changed in ({"seed": 1}, {"measures": [_Sums("c")]}):
        source = Numbers()
        _references(tmp_path, source, **{"measures": [_Sums("a")], **changed})
        assert source.given == 3
    other = Numbers()
    other.identity = {"image_size": 128}
    _references(tmp_path, other, [_Sums("a")])
    assert other.given == 3


def test_references_that_exist_need_no_lock(tmp_path, monkeypatch):
    """The records may be on a read-only disk; what is missing then is computed each time."""
    (made,) = _references(tmp_path, Numbers(), [_Sums()])

    def read_only(path):
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr("eval.references.locked", read_only)
    source = Numbers()
    for _ in range(2):
        again, other = _references(tmp_path, source, [_Sums(), _Sums("b")])
        assert again.arrays == made.arrays and other.arrays == made.arrays
    assert source.given == 6
    assert len(list((tmp_path / "scenes" / "evaluation").iterdir())) == 1


def test_a_killed_computation_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.collection._PART", 8)
    with pytest.raises(KeyboardInterrupt):
        _references(tmp_path, Numbers(fail_at=16), [_Sums()])
    source = Numbers()
    (reference,) = _references(tmp_path, source, [_Sums()])
    assert source.given == 1
    assert reference.arrays["total"] == (np.arange(SIZE) ** 2).sum()


@pytest.mark.parametrize("damage", [lambda whole: whole[:100], lambda whole: b"", lambda whole: bytes(len(whole))])
def test_a_damaged_file_is_made_again(damage, tmp_path, caplog):
    _references(tmp_path, Numbers(), [_Sums()])
    (path,) = (tmp_path / "scenes" / "evaluation").glob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    for given in (3, 0):
        source = Numbers()
        (reference,) = _references(tmp_path, source, [_Sums()])
        assert reference.arrays["total"] == (np.arange(SIZE) ** 2).sum()
        assert source.given == given
    assert f"{path} is damaged: it is made again" in caplog.text


def test_the_content_must_be_of_what_the_name_says(tmp_path, caplog):
    """A file that was copied over another, say of another seed, is no reference."""
    _references(tmp_path, Numbers(), [_Sums()], seed=1)
    (other,) = (tmp_path / "scenes" / "evaluation").glob("*.npz")
    content = other.read_bytes()
    other.unlink()
    _references(tmp_path, Numbers(), [_Sums()], seed=0)
    (path,) = (tmp_path / "scenes" / "evaluation").glob("*.npz")
    path.write_bytes(content)
    source = Numbers()
    _references(tmp_path, source, [_Sums()], seed=0)
    assert source.given == 3
    assert f"{path} is the reference of other images" in caplog.text
