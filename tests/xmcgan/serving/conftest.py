"""A run that draws colourful pictures, and its export."""

from __future__ import annotations

import pytest
import tensorflow as tf

from xmcgan.config import preset
from xmcgan.serving.exported import ExportedModel
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.state import TrainState
from xmcgan.training.workdir import claim_workdir


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The workdir of a run with one checkpoint, whose statistics are no longer zeros and ones."""
    workdir = tmp_path_factory.mktemp("served_run")
    config = preset("scenes")
    config.generator.channels, config.discriminator.channels, config.training.batch_size = 2, 1, 2
    state = TrainState(config)
    generator = state.ema_generator
    generator.to_rgb.kernel.assign(8.0 * generator.to_rgb.kernel)
    for i, modulation in enumerate(generator.modulations):
        statistics = modulation.statistics
        shape = statistics.moving_mean.shape
        statistics.moving_mean.assign(0.3 * tf.random.stateless_normal(shape, [i, 0]))
        statistics.moving_variance.assign(tf.random.stateless_uniform(shape, [i, 1], 0.5, 2.0))
    state.step.assign(12)
    claim_workdir(str(workdir), config)
    Checkpoints(str(workdir), state, max_to_keep=1).save()
    return workdir


@pytest.fixture(scope="session")
def export_dir(run, scenes_dir, command, tmp_path_factory):
    """The folder that `python -m xmcgan.export` wrote of it, working on at most 3 pictures together."""
    folder = tmp_path_factory.mktemp("exports") / "ball"
    process = command(
        "xmcgan.export", f"--workdir={run}", f"--data_dir={scenes_dir}", f"--output={folder}", "--at_once=3"
    )
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert f"step 12: {folder}/1" in output
    return folder


@pytest.fixture(scope="session")
def exported(export_dir):
    return ExportedModel(str(export_dir))
