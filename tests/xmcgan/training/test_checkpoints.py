import os

import numpy as np
import pytest
import tensorflow as tf
from tiny_networks import random_example, random_text, tiny_config

from xmcgan.config import flatten, to_json
from xmcgan.training import checkpoints
from xmcgan.training.checkpoints import Checkpoints, claim_workdir, read_config, restore_generator
from xmcgan.training.state import TrainState, build_generator
from xmcgan.training.update import Update

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
    assert restore_generator(workdir, generator) == 2
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
        lambda: restore_generator(str(damaged), build_generator(config)),
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
    assert restore_generator(str(damaged), build_generator(config)) == 1
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
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        restore_generator(str(tmp_path), tf.keras.Sequential())


def test_the_config_of_a_run_is_kept(tmp_path):
    workdir = str(tmp_path / "new" / "run")
    config = tiny_config()
    claim_workdir(workdir, config)
    assert read_config(workdir) == config
    claim_workdir(workdir, tiny_config())  # Its own run is taken up again.
    assert os.listdir(workdir) == ["config.json"]


@pytest.mark.parametrize(
    "field, value",
    [
        ("generator.channels", 7),
        ("training.seed", 3),
        ("training.batch_size", 8),
        ("losses.direction", "single"),
        ("data.text_length", 9),
    ],
)
def test_another_config_is_refused_by_name_of_the_field(field, value, tmp_path):
    claim_workdir(str(tmp_path), tiny_config())
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(ValueError, match=rf"config\.{field}=.*, not {value!r}: give another --workdir") as error:
        claim_workdir(str(tmp_path), tiny_config(**{field: value}))
    _one_line(error)
    assert (tmp_path / "config.json").read_text() == before


def test_what_ends_or_watches_a_run_may_change(tmp_path):
    claim_workdir(str(tmp_path), tiny_config())
    longer = tiny_config(**{"training.num_steps": 9999, "training.log_every": 150, "training.max_checkpoints": 9})
    claim_workdir(str(tmp_path), longer)
    assert read_config(str(tmp_path)) == longer


def test_free_fields_are_fields():
    assert set(checkpoints._FREE_FIELDS) < set(flatten(tiny_config()))


def test_no_run_and_a_broken_config_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="no training run in") as error:
        read_config(str(tmp_path))
    _one_line(error)
    for text in ('{"dataset": "scen', '{"no_such_field": 1}', "[]", '{"data": 5}', "3"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config\.json is not the config of a run") as error:
            read_config(str(tmp_path))
        _one_line(error)
    (tmp_path / "config.json").write_text(to_json(tiny_config()))
    assert read_config(str(tmp_path)) == tiny_config()
