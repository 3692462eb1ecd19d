"""Collections of network outputs: in parts, on replicas, and resumed after an interruption."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from eval import collection
from eval.collection import collect
from tests.support.commands import run_without_gpus
from tests.support.numbers_source import SIZE, Numbers, Squares


def _collect(source, folder, batch_size=4, strategy=None, identity=None):
    return collect(
        source,
        [Squares()],
        str(folder),
        strategy=strategy or tf.distribute.get_strategy(),
        batch_size=batch_size,
        identity=identity or {"a": 1},
        title="numbers",
    )


def _check(seen):
    np.testing.assert_array_equal(seen.whole("squares"), np.arange(SIZE) ** 2)
    np.testing.assert_array_equal(seen.whole("pairs"), np.stack([np.arange(SIZE), -np.arange(SIZE)], axis=1))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(collection, "_PART", 8)


@pytest.mark.parametrize("batch_size", [1, 4, 5, 23, 64])
def test_every_image_is_seen_once_and_in_order(batch_size, tmp_path):
    _check(_collect(Numbers(), tmp_path / "seen", batch_size))


def test_two_replicas_share_the_work(tmp_path):
    # In a separate process: devices are fixed when TensorFlow starts. Batches of 5 are rounded up to 6.
    output = tmp_path / "rows.npz"
    run_without_gpus("tests.support.numbers_source", tmp_path / "seen", output)
    with np.load(output) as rows:
        np.testing.assert_array_equal(rows["squares"], np.arange(SIZE) ** 2)
        np.testing.assert_array_equal(rows["pairs"], np.stack([np.arange(SIZE), -np.arange(SIZE)], axis=1))


def test_a_killed_collection_resumes(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _collect(Numbers(fail_at=20), tmp_path / "seen")
    again = Numbers()
    _check(_collect(again, tmp_path / "seen"))
    assert again.given == 2  # The batches of the last part, out of six.
    done = Numbers()
    _check(_collect(done, tmp_path / "seen"))
    assert done.given == 0


def test_parts_of_another_collection_are_not_used(tmp_path):
    _collect(Numbers(), tmp_path / "seen", identity={"a": 1})
    again = Numbers()
    _check(_collect(again, tmp_path / "seen", identity={"a": 2}))
    assert again.given == 6
    fewer = Numbers(size=9)
    assert len(_collect(fewer, tmp_path / "seen", identity={"a": 2}).whole("squares")) == 9


def test_files_are_whole_or_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _collect(Numbers(fail_at=12), tmp_path / "seen")
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["collection.json", "part_00000.npz"]
    seen = _collect(Numbers(), tmp_path / "seen")
    seen.remove()
    assert not (tmp_path / "seen").exists()


@pytest.mark.parametrize("part, batches", [(0, 2), (1, 2), (2, 2)])
@pytest.mark.parametrize(
    "damage", [None, lambda whole: whole[:200], lambda whole: b"", lambda whole: bytes(len(whole))]
)
def test_a_missing_or_damaged_part_is_made_again(part, batches, damage, tmp_path):
    _collect(Numbers(), tmp_path / "seen")
    path = tmp_path / "seen" / f"part_{part:05d}.npz"
    content = path.read_bytes()
    path.unlink()
    if damage:
        path.write_bytes(damage(content))
    again = Numbers()
    _check(_collect(again, tmp_path / "seen"))
    assert again.given == 2  # Batches of a part.


def test_a_part_of_another_size_is_made_again(tmp_path):
    _collect(Numbers(), tmp_path / "seen")
    first, last = (tmp_path / "seen" / f"part_{part:05d}.npz" for part in (0, 2))
    first.write_bytes(last.read_bytes())
    (tmp_path / "seen" / "part_00003.npz").write_bytes(last.read_bytes())  # Beyond the end: not taken.
    _check(_collect(Numbers(), tmp_path / "seen"))


def test_time_is_accounted_for(tmp_path):
    seen = _collect(Numbers(), tmp_path / "seen")
    assert 0 < seen.forward_seconds < seen.seconds
