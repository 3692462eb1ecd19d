import errno
import gc
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.support.states import variables
from tests.support.tiny_networks import random_example, random_text, tiny_config
from xmcgan.training.checkpoints import (
    Checkpoints,
    find,
    find_all,
    held,
    keep_best,
    newest,
    read_best,
    restore_generator,
)
from xmcgan.training.state import TrainState, build_discriminator, build_generator, size_of_checkpoint
from xmcgan.training.step import TrainingStep
from xmcgan.training.workdir import claim_workdir

CHANGES = {"losses.generator_image_encoder": 0.0, "losses.generator_perceptual": 0.0, "training.batch_size": 2}


def _one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


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
        TrainingStep(config, state)([random_example(config, 2, seed=step)])
        state.step.assign_add(1)
        kept.save()
    for variable in state.ema_generator.variables:  # Unlike the generator's own.
        variable.assign(tf.random.stateless_normal(variable.shape, [1, 2]) ** 2)
    kept.save()
    return workdir, config, state


def test_the_room_that_a_checkpoint_needs(trained):
    workdir, _, state = trained
    written = os.path.getsize(f"{newest(workdir)}.data-00000-of-00001")
    assert 0.5 * written < size_of_checkpoint(state) <= written  # The rest are statistics and the like.


@pytest.fixture(scope="module")
def networks():
    return TrainState(tiny_config(**CHANGES, **{"training.seed": 5}))


@pytest.fixture
def other(networks):
    """A state to restore into, of which no number is that of the run."""
    networks.step.assign(0)
    for variable in variables(networks)[1:]:
        variable.assign(variable + tf.ones_like(variable))
    return networks


@pytest.fixture(scope="module")
def built():
    return build_generator(tiny_config(**CHANGES))


@pytest.fixture
def generator(built):
    """A generator to restore into, of which no number is that of the run."""
    for variable in built.variables:
        variable.assign(-7.0 * tf.ones_like(variable))
    return built


@pytest.fixture
def damaged(trained, tmp_path):
    """A copy of the run to do harm to."""
    workdir = tmp_path / "run"
    tf.io.gfile.makedirs(str(workdir / "checkpoints"))
    for path in tf.io.gfile.glob(f"{trained[0]}/checkpoints/*"):
        tf.io.gfile.copy(path, str(workdir / "checkpoints" / os.path.basename(path)))
    tf.io.gfile.copy(f"{trained[0]}/config.json", str(workdir / "config.json"))
    return workdir


def test_restores_every_number(trained, other):
    workdir, config, state = trained
    assert Checkpoints(workdir, other, max_to_keep=2).restore_latest()
    assert other.step == 2
    for ours, expected in zip(variables(other), variables(state)):
        np.testing.assert_array_equal(ours, expected, err_msg=expected.name)
    # And goes on from them alike.
    example = random_example(config, 2, seed=9)
    for ours, expected in zip(*(TrainingStep(config, each).joint_step(example).items() for each in (other, state))):
        assert ours[0] == expected[0]
        np.testing.assert_array_equal(ours[1], expected[1], err_msg=ours[0])


def test_restores_the_average_alone_for_drawing(trained, generator):
    workdir, config, state = trained
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


def test_keeps_multiples_for_good(tmp_path):
    state = tf.train.Checkpoint(step=tf.Variable(0, dtype=tf.int64))
    kept = Checkpoints(str(tmp_path), state, max_to_keep=2, keep_every=20)
    for step in (10, 20, 30, 35, 40, 50, 60):
        state.step.assign(step)
        kept.save({"of": step})
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    endings = ("data-00000-of-00001", "index", "json")
    assert names == ["checkpoint", *(f"step-{step}.{ending}" for step in (20, 40, 50, 60) for ending in endings)]
    assert kept.read_note() == {"of": 60}
    assert tf.train.latest_checkpoint(str(tmp_path / "checkpoints")) == kept.latest  # TensorFlow's tools find it.


def test_what_a_killed_process_left_is_cleared(tmp_path):
    state = tf.train.Checkpoint(step=tf.Variable(10, dtype=tf.int64))
    kept = Checkpoints(str(tmp_path), state, max_to_keep=2)
    kept.save()
    folder = tmp_path / "checkpoints"
    (folder / "incomplete").mkdir()  # Killed while it wrote step 20 ...
    (folder / "incomplete" / "step-20.data-00000-of-00001").write_bytes(b"half")
    (folder / "step-9.data-00000-of-00001").write_bytes(b"old")  # ... and another time, while it removed step 9 ...
    (folder / "step-30.data-00000-of-00001").write_bytes(b"new")  # ... or before it had renamed all of step 30.
    assert kept.restore_latest() and state.step == 10
    assert not (folder / "incomplete").exists()
    for step, left in ((20, ["step-30.data-00000-of-00001"]), (30, [])):
        state.step.assign(step)
        kept.save()
        names = {path.name for path in folder.iterdir()} - {"checkpoint"}
        whole = [f"step-{each}.{ending}" for each in (step - 10, step) for ending in ("data-00000-of-00001", "index")]
        assert names == {*whole, *left}


def test_a_checkpoint_does_not_tell_how_often_its_run_was_stopped(tmp_path):
    names = {}
    for folder, steps in (("once", [4]), ("often", [1, 2, 3, 4])):
        state = tf.train.Checkpoint(step=tf.Variable(0, dtype=tf.int64))
        kept = Checkpoints(str(tmp_path / folder), state, max_to_keep=1)
        for step in steps:
            state.step.assign(step)
            kept.save()
        names[folder] = [
            tf.train.load_checkpoint(kept.latest).get_tensor(f"{name}/.ATTRIBUTES/VARIABLE_VALUE")
            for name in ("step", "save_counter")
        ]
    assert names["once"] == names["often"] == [4, 4]


def _cut(path):
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])


def _turn_one_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [_cut, _turn_one_bit])
@pytest.mark.parametrize("part", ["step-2.index", "step-2.data-00000-of-00001"])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(part, harm, damaged, other, caplog):
    workdir, folder = str(damaged), damaged / "checkpoints"
    harm(folder / part)
    assert find(workdir) == str(folder / "step-1")
    assert newest(workdir) == str(folder / "step-2")  # Only the run itself sets it aside.
    kept = Checkpoints(workdir, other, max_to_keep=2)
    caplog.clear()
    assert kept.restore_latest()
    assert other.step == 1
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1 and "\n" not in warnings[0]
    assert re.match(rf"{folder}/step-2 is damaged \(.+\): using {folder}/step-1 instead", warnings[0])

    other.step.assign(2)
    kept.save()  # In the place of the damaged one, of which nothing stays.
    assert sorted(path.name for path in folder.glob("step-2*")) == ["step-2.data-00000-of-00001", "step-2.index"]
    assert find(workdir) == str(folder / "step-2")


def test_damage_is_named_where_a_step_was_asked_for(damaged, generator):
    _cut(damaged / "checkpoints" / "step-2.data-00000-of-00001")
    with pytest.raises(ValueError, match=r"cannot restore .*step-2: it is damaged \(.*\): choose another") as error:
        restore_generator(find(str(damaged), "2"), generator)
    _one_line(error)


def test_a_run_does_not_begin_anew_where_all_its_checkpoints_are_damaged(damaged):
    for step in (1, 2):
        _cut(damaged / "checkpoints" / f"step-{step}.index")
    message = r"no checkpoint in .* is intact; the newest, .*step-2: .*: restore one from a backup"
    for _ in range(2):
        with pytest.raises(ValueError, match=message) as error:
            Checkpoints(str(damaged), tf.train.Checkpoint(), max_to_keep=2).restore_latest()
        _one_line(error)
    with pytest.raises(ValueError, match=message):
        find(str(damaged))


@pytest.mark.parametrize("content", ["", "nonsense \x00"])
def test_tensorflows_note_of_the_newest_is_not_asked(content, damaged):
    (damaged / "checkpoints" / "checkpoint").write_text(content)
    assert find(str(damaged)).endswith("step-2")
    state = tf.train.Checkpoint(step=tf.Variable(0, dtype=tf.int64))
    with pytest.raises(ValueError, match="cannot restore"):  # Is found; holds more than this.
        Checkpoints(str(damaged), state, max_to_keep=2).restore_latest()


def test_falls_back_when_a_checkpoint_is_removed(damaged, other, generator):
    for path in (damaged / "checkpoints").glob("step-2.*"):
        path.unlink()
    kept = Checkpoints(str(damaged), other, max_to_keep=2)
    assert kept.restore_latest()
    assert other.step == 1
    assert restore_generator(find(str(damaged)), generator) == 1
    other.step.assign(2)
    kept.save()
    assert Checkpoints(str(damaged), other, max_to_keep=2).restore_latest()
    assert other.step == 2


@pytest.mark.parametrize(
    "network, build, changes",
    [
        ("generator", build_generator, {"generator.channels": 2}),  # Wider
        ("discriminator", build_discriminator, {"discriminator.contrastive_head_layers": 1}),  # Deeper
    ],
)
def test_a_checkpoint_of_other_networks_is_refused(network, build, changes, trained, other):
    parts = ("step", "generator", "ema_generator", "discriminator", "generator_optimizer", "discriminator_optimizer")
    state = tf.train.Checkpoint(
        **{**{part: getattr(other, part) for part in parts}, network: build(tiny_config(**CHANGES, **changes))}
    )
    with pytest.raises(
        ValueError, match=r"cannot restore .*step-2: it is intact, but belongs to other networks"
    ) as error:
        Checkpoints(trained[0], state, max_to_keep=2).restore_latest()
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
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 7 in .*: the steps kept are 1, 2"):
        find(workdir, "7")
    with pytest.raises(ValueError, match="checkpoint 'newest': give 'latest', 'best' or a step"):
        find(workdir, "newest")


@pytest.mark.parametrize("links", [True, False])
def test_the_best_is_kept_apart(damaged, links, generator, monkeypatch):
    workdir = str(damaged)
    if not links:  # As on disks without hard links.
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("not supported")))
    kept = keep_best(workdir, find(workdir, "1"), {"metric": "FID", "value": 9.33})
    assert kept == find(workdir, "best")
    for path in (damaged / "checkpoints").glob("step-1.*"):  # As a run removes what has grown old.
        path.unlink()
    assert restore_generator(find(workdir, "best"), generator) == 1
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


def test_a_checkpoint_is_held_while_the_run_removes_it(damaged, generator):
    with held(str(damaged), find(str(damaged), "1")) as path:
        for own in (damaged / "checkpoints").glob("step-1.*"):
            own.unlink()
        assert restore_generator(path, generator) == 1
        keep_best(str(damaged), path, {})
    assert sorted(path.name for path in (damaged / "checkpoints").iterdir() if path.is_dir()) == ["best"]
    assert restore_generator(find(str(damaged), "best"), generator) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"[" * 200_000,
        b'{"steps": "8"}',
        b'{"steps": 1, "sums": {"g": null}}',
        b'{"steps": ' + b"1" * 5000,
        b"\xff",
    ],
    ids=lambda content: content[:20].decode("latin-1"),
)
def test_a_note_of_another_form_is_damage_of_its_checkpoint(content, tmp_path):
    state = tf.train.Checkpoint(step=tf.Variable(10, dtype=tf.int64))
    kept = Checkpoints(str(tmp_path), state, max_to_keep=2)
    kept.save({"steps": 1, "sums": {"g": 0.5}})
    state.step.assign(20)
    path = kept.save({"steps": 1, "sums": {"g": 0.5}})
    with open(f"{path}.json", "wb") as file:
        file.write(content)
    assert find(str(tmp_path)).endswith("step-10")
    with pytest.raises(ValueError, match=r"step-20\.json"):
        kept.read_note()


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{", b'{"checkpoint": 5}', b'{"checkpoint": "../../other/step-5"}', b'{"checkpoint": "step-5\\n"}'],
)
def test_a_best_note_of_another_form_is_refused_with_the_remedy(content, tmp_path):
    (tmp_path / "checkpoints" / "best").mkdir(parents=True)
    (tmp_path / "checkpoints" / "best" / "best.json").write_bytes(content)
    for read in (read_best, find_all, lambda workdir: find(workdir, "best")):
        with pytest.raises(ValueError, match=r"best/best\.json.*: remove .*best, and the best checkpoint") as error:
            read(str(tmp_path))
        _one_line(error)


def test_folders_that_look_like_a_process_but_are_none_stay(tmp_path):
    state = tf.train.Checkpoint(step=tf.Variable(10, dtype=tf.int64))
    path = Checkpoints(str(tmp_path), state, max_to_keep=2).save()
    strange = [tmp_path / "checkpoints" / f"held.{name}" for name in ("", "x", "-5", "²", "9" * 200)]
    for folder in strange:
        folder.mkdir()
    with held(str(tmp_path), path) as linked:
        assert os.path.exists(f"{linked}.index")
    assert all(folder.exists() for folder in strange)


def test_what_a_failed_restore_left_is_not_told_later(trained, caplog):
    """TensorFlow has a warning for each value, when its objects are deleted: after the one line that explains."""
    wider = build_generator(tiny_config(**CHANGES, **{"generator.channels": 2}))
    with pytest.raises(ValueError, match="belongs to other networks"):
        restore_generator(find(trained[0]), wider)
    caplog.clear()
    del wider
    gc.collect()
    assert not [record for record in caplog.records if record.name == "tensorflow"]


def test_a_checkpoint_that_the_run_has_removed_is_no_damage(damaged):
    path = find(str(damaged), "1")
    for own in (damaged / "checkpoints").glob("step-1.*"):
        own.unlink()
    with (
        pytest.raises(FileNotFoundError, match=r"step-1 is no more: its run has removed it") as error,
        held(damaged, path),
    ):
        pass
    _one_line(error)
    assert not list((damaged / "checkpoints").glob("held*"))


def test_a_run_that_may_only_be_read(damaged, monkeypatch):
    def read_only(path, mode=0o777):
        raise OSError(errno.EROFS, "Read-only file system", path)

    monkeypatch.setattr(os, "mkdir", read_only)
    path = find(str(damaged), "1")
    with held(str(damaged), path) as held_path:
        assert held_path == path


@pytest.mark.parametrize("name", ["a[b]", "a*", "?", "{a,b}", "a\\b", "ä b%d"])
def test_the_path_of_a_run_is_no_pattern(name, trained, other, generator, tmp_path):
    """TensorFlow looks for `ab` if it is to read a checkpoint in the folder `a[b]`."""
    workdir = str(tmp_path / name)
    shutil.copytree(trained[0], workdir)
    kept = Checkpoints(workdir, other, max_to_keep=2)
    assert kept.restore_latest() and other.step == 2
    other.step.assign(3)
    kept.save()
    with held(workdir, find(workdir)) as path:
        assert restore_generator(path, generator) == 3
    keep_best(workdir, find(workdir), {})
    assert restore_generator(find(workdir, "best"), generator) == 3
    damage(f"{find(workdir, '3')}.index")
    with pytest.raises(ValueError, match=re.escape(f"cannot restore {find(workdir, '3')}: it is damaged")) as error:
        restore_generator(find(workdir, "3"), generator)
    assert "xmcgan_links" not in _one_line(error)


def damage(path):
    with open(path, "r+b") as file:
        file.truncate(20)
