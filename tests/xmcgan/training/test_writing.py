"""A workdir whose disk is full, or that is gone: the system's own errors, on small files."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil

import pytest
import tensorflow as tf

from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.summaries import RunLog
from xmcgan.training.workdir import explain_write_errors


@pytest.fixture
def workdir(tmp_path) -> str:
    return str(tmp_path / "run")


@pytest.fixture
def saved(workdir):
    """A state of 400 kB with a checkpoint of step 7, standing at step 8."""
    state = tf.train.Checkpoint(step=tf.Variable(7, dtype=tf.int64), weights=tf.Variable(tf.ones([100_000])))
    kept = Checkpoints(workdir, state, max_to_keep=1)
    kept.save({"steps": 1})
    state.step.assign(8)
    state.weights.assign(2 * state.weights)
    return kept, state


@contextlib.contextmanager
def _files_end_at(num_bytes: int):
    """What a full disk does to a file, by a limit of the system on this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _contents(folder: str) -> dict[str, bytes]:
    contents = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            contents[name] = file.read()
    return contents


def test_a_full_disk_leaves_the_last_checkpoint_as_it_was(saved, workdir):
    kept, state = saved
    folder = f"{workdir}/checkpoints"
    before = _contents(folder)
    message = (
        rf"cannot write the checkpoint of step 8 in {workdir}: File too large: free some space there; "
        rf"{folder}/step-7 is the last good checkpoint, and the same command resumes from it"
    )
    with _files_end_at(200_000), pytest.raises(OSError, match=f"^{message}$"):
        kept.save({"steps": 2})
    assert _contents(folder) == before
    kept.save({"steps": 2})  # There is room again.
    assert kept.read_note() == {"steps": 2}
    state.weights.assign(0 * state.weights)
    assert kept.restore_latest() and state.step == 8
    assert set(state.weights.numpy()) == {2.0}


def test_a_full_disk_is_told_of_by_the_log(workdir):
    Checkpoints(workdir, tf.train.Checkpoint(step=tf.Variable(0)), max_to_keep=1)
    message = (
        r"cannot write the numbers of step 2 in .*: File too large: free some space there; there is no checkpoint$"
    )
    with pytest.raises(OSError, match=message), RunLog(workdir, 0, 100, 8) as log:
        log.scalars(1, {"loss": 1.0})
        with (
            _files_end_at(os.path.getsize(f"{workdir}/metrics.jsonl") + 10),
            explain_write_errors("the numbers of step 2", workdir),
        ):
            log.scalars(2, {"loss": 2.0})
    with RunLog(workdir, 1, 100, 8) as log:
        log.scalars(2, {"loss": 3.0})
    with open(f"{workdir}/metrics.jsonl", encoding="utf-8") as file:
        assert [line.split(",")[:2] for line in file] == [
            ['{"step": 1', ' "loss": 1.0'],
            ['{"step": 2', ' "loss": 3.0'],
        ]


@pytest.mark.parametrize("made_again", [False, True])
def test_a_workdir_that_vanished_is_not_made_again(saved, workdir, made_again):
    shutil.rmtree(workdir)
    if made_again:  # As the mount point of a disk that was unmounted.
        os.mkdir(workdir)
    with pytest.raises(
        OSError, match=f"the checkpoint of step 8 in {workdir}: .*: restore the folder, .*; there is no check"
    ):
        saved[0].save()
    assert os.path.exists(workdir) == made_again
    assert not made_again or os.listdir(workdir) == []
