"""Tests of the monitored run: its observations, and the quarters that are compared."""

import numpy as np
import pytest

from tests.support.command_modules import load

soak = load("experiments.benchmarks.soak")


def test_quarters_leave_the_beginning_out():
    moments = np.linspace(0, 100, 1001)
    values = np.select([moments < 10, moments < 32.5, moments < 55, moments < 77.5], [99, 1, 2, 3], 4)
    np.testing.assert_allclose(soak.quarters(list(zip(moments, values))), [1, 2, 3, 4], rtol=2e-2)


@pytest.mark.slow
def test_watches_a_run(scenes_dir, tmp_path):
    small = ["--config.training.steps_per_call=5", "--config.training.log_every=5", "--config.training.sample_every=0"]
    small += ["--config.training.checkpoint_every=5", "--config.generator.channels=1"]
    seen = soak.WatchedRun(str(scenes_dir), str(tmp_path / "run"), small).watch(20.0, every=1.0)
    assert seen.compilations == 1
    assert seen.steps >= 5 and seen.steps % 5 == 0
    assert len(seen.memory) > 10 and min(size for _, size in seen.memory) > 100e6
    assert all(speed > 0 for _, speed in seen.speed)


def test_a_run_that_ends_by_itself_is_reported(scenes_dir, tmp_path):
    with pytest.raises(RuntimeError, match=r"ended by itself: .*config\.training\.seed=x"):
        soak.WatchedRun(str(scenes_dir), str(tmp_path / "run"), ["--config.training.seed=x"]).watch(60.0)
