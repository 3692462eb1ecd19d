import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.datasets import preset
from tests.support.quick_step import QuickStep
from tests.support.tiny_networks import tiny_config
from tests.support.train_here import train_here
from xmcgan import handles
from xmcgan.training import batch_step, checkpoint_files, half_weights, initial_weights
from xmcgan.training.checkpoints import Checkpoints, find, restore_generator, restore_networks
from xmcgan.training.state import TrainState, build_generator
from xmcgan.training.workdir import checkpoint_folder, claim_workdir


def _randomize(variables):
    for number, variable in enumerate(variables):
        variable.assign(tf.random.stateless_uniform(variable.shape, [number, 1], minval=0.5))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The folder of a run with a checkpoint of step 7, and its state, in which every variable has other numbers."""
    workdir, config = str(tmp_path_factory.mktemp("source")), tiny_config()
    state = TrainState(config)
    for network in (state.generator, state.ema_generator, state.discriminator):
        _randomize(network.variables)
    for optimizer in (state.generator_optimizer, state.discriminator_optimizer):
        optimizer.iterations.assign(7)
        _randomize([variable for variable in optimizer.variables if variable.dtype == tf.float32])
    state.step.assign(7)
    claim_workdir(workdir, config)
    Checkpoints(workdir, state, max_to_keep=1).save()
    return workdir, state


@pytest.fixture(scope="module")
def pretrained(source, tmp_path_factory):
    """A model of the package, with averaged weights only, in 16 bits."""
    _, state = source
    folder = tmp_path_factory.mktemp("pretrained")
    model = str(folder / "tiny")
    claim_workdir(model, tiny_config())
    tf.io.gfile.makedirs(checkpoint_folder(model))
    halves = {name: half_weights.halve(getattr(state, name)).trackable for name in ("ema_generator", "discriminator")}
    path = f"{checkpoint_folder(model)}/step-7"
    checkpoint_files.write(tf.train.Checkpoint(step=tf.Variable(7, dtype=tf.int64), **halves), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handles, "_PRETRAINED_FOLDER", str(folder))
        yield "pretrained:tiny"


def _assert_equal(network, expected):
    for ours, other in zip(network.variables, expected.variables):
        np.testing.assert_array_equal(ours, other, err_msg=other.name)


def _started(init_from):
    config = initial_weights.starting_config(tiny_config(**{"training.seed": 1}), init_from)
    initial_weights.check(config)
    state = TrainState(config)
    optimizers = [variable.numpy() for variable in state.generator_optimizer.variables]
    initial_weights.restore(config, state, tf.distribute.get_strategy())
    assert state.step == 0
    for variable, value in zip(state.generator_optimizer.variables, optimizers):
        np.testing.assert_array_equal(variable, value)
    return state


def test_a_run_starts_with_both_networks_and_the_average_of_another(source):
    workdir, expected = source
    state = _started(workdir)
    for network in ("generator", "ema_generator", "discriminator"):
        _assert_equal(getattr(state, network), getattr(expected, network))


def test_a_run_starts_with_a_pretrained_model(pretrained, source):
    _, expected = source
    state = _started(pretrained)
    for ours, other in (("generator", "ema_generator"), ("ema_generator",) * 2, ("discriminator",) * 2):
        for variable, value in zip(getattr(state, ours).variables, getattr(expected, other).variables):
            value, error = value.numpy(), np.abs(variable.numpy() - value.numpy())
            step = np.abs(value).max(axis=tuple(range(value.ndim - 1))) / 32_767  # Of each output channel.
            assert (error <= (0.51 * step if value.ndim > 1 and variable.trainable else 0.0)).all(), variable.name


def test_a_pretrained_model_is_half_the_size_and_is_read_as_a_run(pretrained, source):
    workdir, expected = source
    folder = handles.resolve_run(pretrained)
    generator = build_generator(tiny_config())
    assert restore_generator(find(folder), generator) == 7
    np.testing.assert_allclose(generator.stem.kernel, expected.ema_generator.stem.kernel, atol=1e-4)

    def bytes_of(run, key):
        reader = tf.train.load_checkpoint(find(run))
        return reader.get_tensor(f"{key}/.ATTRIBUTES/VARIABLE_VALUE").nbytes

    for key in ("ema_generator/stem/kernel", "discriminator/to_logit/kernel"):
        assert bytes_of(workdir, key) == 2 * bytes_of(folder, f"{key}/counts")
    for key in ("ema_generator/last_modulation/statistics/moving_mean", "discriminator/to_logit/u"):
        assert bytes_of(workdir, key) == bytes_of(folder, key)


def test_networks_and_text_are_those_of_the_source(source):
    workdir, _ = source
    own = tiny_config(
        **{
            "generator.channels": 2,
            "text.dim": 8,
            "generator.batch_norm_replicas": 1,
            "losses.generator_word": 0.5,
            "training.batch_size": 2,
        }
    )
    config = initial_weights.starting_config(own, workdir)
    expected = own.with_fields({"generator.channels": 1, "text.dim": 6, "training.init_from": workdir})
    assert config == expected


@pytest.mark.parametrize(
    "field, value",
    [("text.dim", 7), ("generator.channels", 2), ("discriminator.channels", 3), ("data.image_size", 128)],
)
def test_what_does_not_fit_is_refused_by_name(field, value, source):
    workdir, _ = source
    config = initial_weights.starting_config(tiny_config(), workdir).with_fields({field: value})
    with pytest.raises(
        ValueError, match=rf"^config\.{field}={value} does not fit the weights of .*{workdir}'"
    ) as error:
        initial_weights.check(config)
    assert "\n" not in str(error.value)


def test_other_inputs_cause_a_warning(source, caplog):
    workdir, _ = source
    config = initial_weights.starting_config(tiny_config(), workdir).with_fields({"text.encoder": "/other/bert"})
    initial_weights.check(config)
    assert "text.encoder=/other/bert, but the weights of" in caplog.text


@pytest.mark.parametrize(
    "init_from, message",
    [("pretrained:dogs", "no model 'pretrained:dogs'"), ("/nowhere", "no training run in /nowhere")],
)
def test_a_source_that_does_not_exist_is_refused(init_from, message):
    with pytest.raises(FileNotFoundError, match=message):
        initial_weights.check(tiny_config(**{"training.init_from": init_from}))


def _dense(weight: float) -> tf.keras.layers.Layer:
    layer = tf.keras.layers.Dense(1, kernel_initializer=tf.keras.initializers.Constant(weight))
    layer(tf.ones([1, 1]))
    return layer


@pytest.mark.parametrize("weight", [0.0, 1e-30, -1e6])
def test_weights_of_any_size_have_16_bits(weight):
    layer = _dense(weight)
    half_weights.halve(layer).write_back()
    assert layer.kernel.numpy() == pytest.approx(np.float32(weight), rel=1e-6)


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"kernel.* are not finite"):
        half_weights.halve(_dense(np.nan))


def test_a_checkpoint_of_other_networks_is_refused(source):
    workdir, _ = source
    with pytest.raises(ValueError, match="intact, but belongs to other networks"):
        restore_networks(find(workdir), ema_generator=build_generator(tiny_config(**{"generator.channels": 2})))


def _loss(workdir) -> float:
    (line,) = (workdir / "metrics.jsonl").read_text().splitlines()
    return json.loads(line)["g/loss"]


@pytest.mark.slow
def test_a_run_needs_its_source_only_once(drawing_run, scenes_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_step, "TrainingStep", QuickStep)
    source, workdir = tmp_path / "source", tmp_path / "run"
    shutil.copytree(drawing_run, source)
    steps = {f"training.{name}": 2 for name in ("batch_size", "steps_per_call", "log_every", "checkpoint_every")}
    own = preset("scenes").with_fields({**steps, "training.num_steps": 2, "training.sample_every": 0})
    config = initial_weights.starting_config(own, str(source))
    train_here(config, scenes_dir, workdir)
    loss = _loss(workdir)
    first, expected = (tf.train.load_checkpoint(find(str(run), step)) for run, step in ((workdir, "0"), (source, "12")))
    for network in ("generator", "ema_generator"):
        key = f"{network}/stem/kernel/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(first.get_tensor(key), expected.get_tensor(key))

    shutil.rmtree(source)
    checkpoint_files.remove(find(str(workdir), "2"))
    assert initial_weights.starting_config(own, str(source), str(workdir)) == config
    train_here(config, scenes_dir, workdir)
    assert find(str(workdir)).endswith("step-2")
    assert _loss(workdir) == loss


def test_the_command_takes_the_networks_from_the_source(drawing_run, command, tmp_path):
    arguments = ["--dataset=scenes", f"--init_from={drawing_run}", f"--workdir={tmp_path}/run"]
    process = command("xmcgan.train", *arguments, "--config.discriminator.channels=3", f"--data_dir={tmp_path}/data")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    last = errors.splitlines()[-1]
    assert last.startswith("error: --config.discriminator.channels=3 does not fit the weights of ")
    assert last.endswith("set --config.discriminator.channels=1, or leave out both")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "data").exists()
