"""Tests the comparison of numbers of threads."""

import pytest

from tests.support.command_modules import load

threads = load("experiments.benchmarks.threads")


def test_every_setting_is_tried_once():
    names = [threads.spelled(setting) for setting in threads.settings(2)]
    assert len(names) == len(set(names)) == 5  # (2, 1) is listed once.
    assert names[:2] == ["TensorFlow's default", "TF_NUM_INTEROP_THREADS=2 TF_NUM_INTRAOP_THREADS=1"]
    assert len({threads.spelled(setting) for setting in threads.settings(1)}) == len(threads.settings(1))


def test_a_run_that_fails_is_reported(tmp_path):
    with pytest.raises(RuntimeError, match=r"the run ended: error: --dataset=bird is not known"):
        threads.images_per_second({}, "bird", str(tmp_path), 1)


@pytest.mark.slow
def test_a_rate_is_measured(scenes_dir):
    assert threads.images_per_second({"TF_NUM_INTRAOP_THREADS": 1}, "scenes", str(scenes_dir), 2) > 0
