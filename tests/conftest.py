"""What many tests need: a small dataset of scenes with its text model, a run with its export, and commands run as users
run them."""

from __future__ import annotations

import pathlib

import pytest

from tests.support import garbage, one_core  # noqa: F401
from tests.support.commands import Command
from tests.support.order import (  # noqa: F401
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_xdist_make_scheduler,
)
from tests.support.processes import finish
from tests.support.shared import make_once


@pytest.fixture(scope="session")
def scenes_dir(tmp_path_factory) -> pathlib.Path:
    """A data_dir with a few scenes, converted, and the BERT of the package."""
    from data_pipelines import prepare

    def make(data_dir: pathlib.Path) -> None:
        prepare.prepare_scenes(data_dir, num_train=60, num_val=20)
        prepare.prepare_text_model(data_dir)

    return make_once(tmp_path_factory, "scenes_data", make)


@pytest.fixture(scope="session")
def command() -> type[Command]:
    """Starts `python -m MODULE ARGUMENTS`; returns the process."""
    return Command


@pytest.fixture(scope="session")
def drawing_run(tmp_path_factory) -> pathlib.Path:
    """The workdir of a run that draws colorful images, with one checkpoint, whose statistics have moved."""
    import tensorflow as tf

    from data_pipelines.datasets import preset
    from xmcgan.training.checkpoints import Checkpoints
    from xmcgan.training.state import TrainState
    from xmcgan.training.workdir import claim_workdir

    def make(workdir: pathlib.Path) -> None:
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

    return make_once(tmp_path_factory, "drawing_run", make)


@pytest.fixture(scope="session")
def of_run(drawing_run, scenes_dir):
    """The run, loaded."""
    from xmcgan.text_to_image import TextToImage

    return TextToImage.load(str(drawing_run), str(scenes_dir))


@pytest.fixture(scope="session")
def export_dir(drawing_run, scenes_dir, command, tmp_path_factory) -> pathlib.Path:
    """The folder that `python -m xmcgan.export` wrote of it, to work on at most 3 images together."""

    def make(folder: pathlib.Path) -> None:
        arguments = [f"--workdir={drawing_run}", f"--data_dir={scenes_dir}", f"--output={folder}/ball", "--at_once=3"]
        assert f"step 12: {folder}/ball/1" in finish(command("xmcgan.export", *arguments))

    return make_once(tmp_path_factory, "exports", make) / "ball"


@pytest.fixture(scope="session")
def exported(export_dir):
    """The export, loaded."""
    from xmcgan.text_to_image import TextToImage

    return TextToImage.from_export(str(export_dir))


@pytest.fixture
def offline(monkeypatch, tmp_path) -> None:
    """No host can be reached, and the caches of TF Hub and Keras are empty."""

    def unreachable(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))  # Keras caches its downloads there.
    monkeypatch.setattr("socket.getaddrinfo", unreachable)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
