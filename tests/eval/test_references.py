"""Reference statistics of the real images: computed once, and again for other images, lists or networks."""

from __future__ import annotations

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
    assert sorted(path.suffix for path in (tmp_path / "scenes" / "evaluation").iterdir()) == ["", ".npz"]  # The lock.


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


def test_a_killed_computation_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.collection._PART", 8)
    with pytest.raises(KeyboardInterrupt):
        _references(tmp_path, Numbers(fail_at=16), [_Sums()])
    source = Numbers()
    (reference,) = _references(tmp_path, source, [_Sums()])
    assert source.given == 1
    assert reference.arrays["total"] == (np.arange(SIZE) ** 2).sum()


def test_a_damaged_file_is_named(tmp_path):
    _references(tmp_path, Numbers(), [_Sums()])
    (path,) = (tmp_path / "scenes" / "evaluation").glob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read: remove it") as error:
        _references(tmp_path, Numbers(), [_Sums()])
    assert "\n" not in str(error.value)
