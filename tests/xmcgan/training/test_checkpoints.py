import os

import numpy as np
import pytest
import tensorflow as tf
from tiny_networks import random_example, random_text, tiny_config

from xmcgan.training.checkpoints import Checkpoints, find, find_all, held, keep_best, read_best, restore_generator
from xmcgan.training.state import TrainState, build_generator
from xmcgan.training.update import Update
from xmcgan.training.workdir import claim_workdir, read_config

CHANGES = {"losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0, "training.batch_size": 2}


def _one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def _variables(state):
    """Everything that a step changes, by its place in the checkpoint."""
    models = (state.generator, state.ema_generator, state.discriminator)
    optimizers = (state.generator_optimizer, state.discriminator_optimizer)
    variables = [v for owner in models for v in owner.variables] + [v for owner in optimizers for v in owner.variables]
    return [state.step, *variables]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workdir with two checkpoints, of steps 1 and 2, and the state as it was at step 2."""
    workdir = str(tmp_path_factory.mktemp("run"))
    config = tiny_config(**CHANGES)
    state = TrainState(config)
    claim_workdir(workdir, config)
    kept = Checkpoints(workdir, state, max_to_keep=2)
    assert not kept.restore_latest()
    for step in range(2):
        Update(config, state)([random_example(config, 2, seed=step)])
        state.step.assign_add(1)
        kept.save()
    for variable in state.ema_generator.variables:  # Unlike the generator's own.
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2]) ** 2)
    kept.save()
    return workdir, config, state


@pytest.fixture
def damaged(trained, tmp_path):
    """A copy of the run to do harm to."""
    workdir = tmp_path / "run"
    tf.io.gfile.makedirs(str(workdir / "checkpoints"))
    for path in tf.io.gfile.glob(f"{trained[0]}/checkpoints/*"):
        tf.io.gfile.copy(path, str(workdir / "checkpoints" / os.path.basename(path)))
    tf.io.gfile.copy(f"{trained[0]}/config.json", str(workdir / "config.json"))
    return workdir


def test_restores_every_number(trained):
    workdir, config, state = trained
    fresh = TrainState(tiny_config(**CHANGES, **{"training.seed": 5}))
    assert Checkpoints(workdir, fresh, max_to_keep=2).restore_latest()
    assert fresh.step == 2
    for ours, expected in zip(_variables(fresh), _variables(state)):
        np.testing.assert_array_equal(ours, expected, err_msg=expected.name)
    # And goes on from them alike.
    example = random_example(config, 2, seed=9)
    for one, other in zip(*(Update(config, each).joint_step(example).items() for each in (fresh, state))):
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1], err_msg=one[0])


def test_restores_the_average_alone_for_drawing(trained):
    workdir, config, state = trained
    generator = build_generator(config)
    assert restore_generator(find(workdir), generator) == 2
    for ours, expected in zip(generator.variables, state.ema_generator.variables):
        np.testing.assert_array_equal(ours, expected)
    drawn = [g(tf.ones([2, 3]), random_text(config, 2)).image for g in (generator, state.ema_generator)]
    np.testing.assert_array_equal(*drawn)


def test_keeps_the_newest(tmp_path):
    state = tf.train.Checkpoint(step=tf.Variable(0, dtype=tf.int64))
    kept = Checkpoints(str(tmp_path), state, max_to_keep=2)
    for step in (10, 20, 30):
        state.step.assign(step)
        kept.save()
    indices = sorted(os.path.basename(path) for path in tf.io.gfile.glob(f"{tmp_path}/checkpoints/*.index"))
    assert indices == ["step-20.index", "step-30.index"]
    state.step.assign(0)
    assert Checkpoints(str(tmp_path), state, max_to_keep=2).restore_latest()
    assert state.step == 30


def _cut(path):
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])


@pytest.mark.parametrize("part", ["step-2.index", "step-2.data-00000-of-00001"])
def test_a_damaged_checkpoint_is_named(part, damaged):
    _cut(damaged / "checkpoints" / part)
    config = read_config(str(damaged))
    for restore in (
        lambda: Checkpoints(str(damaged), TrainState(config), max_to_keep=2).restore_latest(),
        lambda: restore_generator(find(str(damaged)), build_generator(config)),
    ):
        with pytest.raises(ValueError, match=r"cannot restore .*step-2: .*remove .*step-2\.\* to fall back") as error:
            restore()
        _one_line(error)


def test_falls_back_when_a_checkpoint_is_removed(damaged):
    for path in (damaged / "checkpoints").glob("step-2.*"):
        path.unlink()
    config = read_config(str(damaged))
    state = TrainState(config)
    kept = Checkpoints(str(damaged), state, max_to_keep=2)
    assert kept.restore_latest()
    assert state.step == 1
    assert restore_generator(find(str(damaged)), build_generator(config)) == 1
    state.step.assign(2)
    kept.save()
    assert Checkpoints(str(damaged), state, max_to_keep=2).restore_latest()
    assert state.step == 2


def test_a_checkpoint_of_other_networks_is_refused(trained):
    wider = TrainState(tiny_config(**CHANGES, **{"generator.channels": 2}))
    with pytest.raises(ValueError, match=r"cannot restore .*step-2") as error:
        Checkpoints(trained[0], wider, max_to_keep=2).restore_latest()
    _one_line(error)
    deeper = TrainState(tiny_config(**CHANGES, **{"discriminator.contrastive_head_layers": 1}))
    with pytest.raises(ValueError, match=r"cannot restore .*step-2") as error:
        Checkpoints(trained[0], deeper, max_to_keep=2).restore_latest()
    _one_line(error)


def test_no_checkpoint_yet(tmp_path):
    for which in ("latest", "best"):
        with pytest.raises(FileNotFoundError, match=f"no (best )?checkpoint in {tmp_path}/checkpoints yet: .*"):
            find(str(tmp_path), which)
    assert find_all(str(tmp_path)) == []
    assert read_best(str(tmp_path)) is None


def test_checkpoints_are_found_by_step(trained):
    workdir = trained[0]
    assert [os.path.basename(path) for path in find_all(workdir)] == ["step-1", "step-2"]
    assert find(workdir, "1").endswith("checkpoints/step-1")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 7 in .*: there are 1, 2"):
        find(workdir, "7")
    with pytest.raises(ValueError, match="checkpoint 'newest': give 'latest', 'best' or a step"):
        find(workdir, "newest")


@pytest.mark.parametrize("links", [True, False])
def test_the_best_is_kept_apart(damaged, links, monkeypatch):
    workdir = str(damaged)
    if not links:  # As on disks without hard links.
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("not supported")))
    kept = keep_best(workdir, find(workdir, "1"), {"metric": "FID", "value": 9.33})
    assert kept == find(workdir, "best")
    for path in (damaged / "checkpoints").glob("step-1.*"):  # As a run removes what has grown old.
        path.unlink()
    config = read_config(workdir)
    assert restore_generator(find(workdir, "best"), build_generator(config)) == 1
    assert read_best(workdir) == {"checkpoint": "step-1", "step": 1, "metric": "FID", "value": 9.33}
    assert [os.path.basename(path) for path in find_all(workdir)] == ["step-1", "step-2"]
    assert find(workdir).endswith("checkpoints/step-2")  # The newest stays the newest.

    keep_best(workdir, find(workdir, "2"), {"metric": "FID", "value": 8.0})
    assert keep_best(workdir, find(workdir, "best"), {"metric": "FID", "value": 7.0}) == find(workdir, "best")
    assert read_best(workdir) == {"checkpoint": "step-2", "step": 2, "metric": "FID", "value": 7.0}
    assert sorted(path.name for path in (damaged / "checkpoints" / "best").iterdir()) == [
        "best.json",
        "step-2.data-00000-of-00001",
        "step-2.index",
    ]


def test_a_checkpoint_is_held_while_the_run_removes_it(damaged):
    config = read_config(str(damaged))
    with held(str(damaged), find(str(damaged), "1")) as path:
        for own in (damaged / "checkpoints").glob("step-1.*"):
            own.unlink()
        assert restore_generator(path, build_generator(config)) == 1
        keep_best(str(damaged), path, {})
    assert sorted(path.name for path in (damaged / "checkpoints").iterdir() if path.is_dir()) == ["best"]
    assert restore_generator(find(str(damaged), "best"), build_generator(config)) == 1
