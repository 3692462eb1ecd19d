"""A run as its user starts it: what it leaves behind, how it goes on after a kill, how it ends in trouble."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipelines import datasets
from tests.support import free_cluster
from tests.support.processes import finish
from tests.support.quick_step import QuickStep
from tests.support.train_here import train_here
from xmcgan import config_json
from xmcgan.config import Config
from xmcgan.training import batch_step, checkpoints, loop
from xmcgan.training.diagnosis import stop_if_not_finite
from xmcgan.training.preemption import Stopped
from xmcgan.training.summaries import PendingMetrics
from xmcgan.training.workdir import held

SMALL = (
    "--dataset=scenes",
    "--config.generator.channels=1",
    "--config.discriminator.channels=1",
    "--config.training.batch_size=4",
    "--config.training.steps_per_call=4",
    "--config.training.log_every=4",
    "--config.training.checkpoint_every=8",
    "--config.training.sample_every=16",
)


def read_metrics(workdir) -> list[dict]:
    """The lines of metrics.jsonl, without the one number that time decides."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["images_per_second"]
    return lines


def _wait_for_lines(number, process, workdir):
    """Waits until a run has logged so often."""
    metrics, deadline = workdir / "metrics.jsonl", time.monotonic() + 300
    while not (metrics.exists() and metrics.read_text().count("\n") >= number):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def _undisturbed(command, module, scenes_dir, folder, *flags):
    """Trains 32 steps.

    Returns:
      The folder of the run, and its folder as a kill would have left it: a copy, made while the run stood still, past
      step 12, and so past the checkpoint of step 8.
    """
    workdir, killed = folder / "undisturbed", folder / "killed"
    process = command(module, *SMALL, *flags, *_steps(32, scenes_dir, workdir))
    _wait_for_lines(3, process, workdir)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    shutil.copytree(workdir, killed)
    process.send_signal(signal.SIGCONT)
    finish(process)
    return workdir, killed


def _steps(number, scenes_dir, workdir) -> tuple[str, str, str]:
    return f"--config.training.num_steps={number}", f"--data_dir={scenes_dir}", f"--workdir={workdir}"


@pytest.fixture(scope="module")
def trained(command, scenes_dir, tmp_path_factory):
    """The folder of a run of 8 steps, and what it printed."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    return workdir, finish(command("xmcgan.train", *SMALL, *_steps(8, scenes_dir, workdir)))


@pytest.fixture(scope="module")
def long_run(command, scenes_dir, tmp_path_factory):
    """The folder of an undisturbed run of 32 steps."""
    return _undisturbed(command, "xmcgan.train", scenes_dir, tmp_path_factory.mktemp("runs"))[0]


def test_a_second_training_in_the_folder_is_refused(trained, command, scenes_dir, tmp_path):
    workdir, _ = trained
    before = (workdir / "metrics.jsonl").read_bytes()
    arguments = (*SMALL, *_steps(8, scenes_dir, workdir))
    with held(str(workdir)):
        second = command("xmcgan.train", *arguments)
        _, errors = second.communicate(timeout=120)
    assert second.returncode == 1
    line = errors.strip().splitlines()[-1]
    assert line.startswith(f"error: {workdir} is in use by process {os.getpid()} on ")
    assert line.endswith(": wait until it has ended, stop it, or give another --workdir")
    assert (workdir / "metrics.jsonl").read_bytes() == before and not (workdir / ".lock").exists()


def test_workdir(trained):
    workdir, output = trained
    assert {path.name for path in workdir.iterdir()} == {
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "samples",
        "tensorboard",
    }
    assert config_json.from_json((workdir / "config.json").read_text()).training.batch_size == 4
    lines = read_metrics(workdir)
    assert [line["step"] for line in lines] == [4, 8]
    assert {"d/word_loss", "g/image_loss", "d/gradient_norm"} <= lines[0].keys() < lines[1].keys()
    assert all(np.isfinite(value) for line in lines for value in line.values())
    assert [path.name for path in (workdir / "samples").iterdir()] == ["step_0000008.png"]
    assert "held-out captions" in output


def _small_config() -> Config:
    """SMALL, as the command makes it."""
    flags = dict(flag.removeprefix("--config.").split("=") for flag in SMALL[1:])
    return datasets.preset("scenes").with_fields({name: int(value) for name, value in flags.items()})


def _tensors(workdir) -> dict[str, np.ndarray]:
    """Every number in the newest checkpoint, by its place there."""
    reader = tf.train.load_checkpoint(checkpoints.newest(str(workdir)))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "GRAPH" not in name}


def _assert_the_same(workdir, undisturbed):
    assert read_metrics(workdir) == read_metrics(undisturbed)
    ours, expected = _tensors(workdir), _tensors(undisturbed)
    assert ours.keys() == expected.keys() and len(expected) > 100
    for name, value in expected.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_a_killed_run_goes_on_to_the_same_numbers(command, scenes_dir, tmp_path):
    """With a step that is traced quickly, and depends on as much as the training step does."""
    module, flag = "tests.support.quick_train", "--config.training.sample_every=0"
    undisturbed, workdir = _undisturbed(command, module, scenes_dir, tmp_path, flag)
    assert 3 <= len(read_metrics(workdir)) < 8
    assert "restored" in finish(command(module, *SMALL, flag, *_steps(32, scenes_dir, workdir)))
    _assert_the_same(workdir, undisturbed)


@pytest.mark.slow  # Each start is traced.
def test_killed_stopped_and_started_again_gives_the_same_numbers(long_run, command, scenes_dir, tmp_path):
    workdir = tmp_path / "killed"
    arguments = (*SMALL, *_steps(32, scenes_dir, workdir))
    for number, lines in ((signal.SIGKILL, 3), (signal.SIGTERM, 5)):
        process = command("xmcgan.train", *arguments)
        _wait_for_lines(lines, process, workdir)
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
        if number != signal.SIGKILL:
            assert process.returncode == 128 + number, errors
            step = checkpoints.step_of(checkpoints.newest(str(workdir)))
            assert errors.splitlines()[-1] == (
                f"stopped by {number.name} at step {step}, which is saved: the same command resumes there"
            )
            assert 4 * lines < step < 32
    assert "restored" in finish(command("xmcgan.train", *arguments))
    _assert_the_same(workdir, long_run)


@pytest.mark.slow
def test_a_run_whose_time_is_up_is_saved_and_goes_on(scenes_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_step, "TrainingStep", QuickStep)
    undisturbed, workdir = tmp_path / "undisturbed", tmp_path / "stopped"
    config = _small_config()
    config.training.num_steps = 8
    train_here(config, scenes_dir, undisturbed)
    assert train_here(config, scenes_dir, workdir, time_limit=0.0) is None
    assert checkpoints.step_of(checkpoints.newest(str(workdir))) == 1
    train_here(config, scenes_dir, workdir)
    _assert_the_same(workdir, undisturbed)


@pytest.mark.slow
def test_stopped_where_a_line_a_grid_and_a_checkpoint_are_due(scenes_dir, tmp_path, monkeypatch):
    """The signal comes at step 15, with one step a call: it ends at step 16, and what is due there waits."""
    monkeypatch.setattr(batch_step, "TrainingStep", QuickStep)
    undisturbed, workdir = tmp_path / "undisturbed", tmp_path / "stopped"
    config = _small_config()
    config.training.num_steps = 16
    train_here(config, scenes_dir, undisturbed)
    config.training.num_steps, config.training.steps_per_call = 32, 1
    added = []

    def add(pending, metrics):
        PendingMetrics.add(pending, metrics)
        added.append(metrics)
        if len(added) == 15:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)

    monkeypatch.setattr(loop, "PendingMetrics", type("Sending", (PendingMetrics,), {"add": add}))
    with pytest.raises(Stopped, match="at step 16, which is saved") as stopped:
        train_here(config, scenes_dir, workdir)
    assert stopped.value.status == 143
    assert [line["step"] for line in read_metrics(workdir)] == [4, 8, 12]
    assert not (workdir / "samples").exists()

    config.training.num_steps = 16  # So nothing is to be trained any more, but something is to be told.
    note = workdir / "checkpoints" / "step-16.json"
    pending = note.read_text()
    for _ in range(2):  # Killed after the line, before it was noted that there is nothing more to tell.
        assert json.loads(pending)["steps"] == 4
        note.write_text(pending)
        assert train_here(config, scenes_dir, workdir) is not None
        assert read_metrics(workdir) == read_metrics(undisturbed)[:4]
        assert [path.name for path in (workdir / "samples").iterdir()] == ["step_0000016.png"]
        assert json.loads(note.read_text()) == {"steps": 0, "sums": {}}
    assert train_here(config, scenes_dir, workdir) is None


@pytest.mark.slow
def test_a_full_disk_stops_a_run_in_one_line(long_run, command, scenes_dir, tmp_path):
    """The system ends every file at so many bytes: fewer than the checkpoint of step 40 would have."""
    workdir = tmp_path / "full"
    shutil.copytree(long_run, workdir)
    size = max(path.stat().st_size for path in (workdir / "checkpoints").iterdir())
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size} - 1000, -1)); "
    code += "from xmcgan import command_line, train; command_line.run(train.main)"
    arguments = (*SMALL, *_steps(48, scenes_dir, workdir))
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == (
        f"error: cannot write the checkpoint of step 40 in {workdir}: File too large: free some space there; "
        f"{workdir}/checkpoints/step-32 is the last good checkpoint, and the same command resumes from it"
    )
    assert "Traceback" not in process.stderr
    np.testing.assert_equal(_tensors(workdir), _tensors(long_run))


def test_a_finished_run_has_nothing_left_to_do(trained, command, scenes_dir):
    workdir, _ = trained
    arguments = (*SMALL, *_steps(8, scenes_dir, workdir))
    assert "is trained: step 8 of 8" in finish(command("xmcgan.train", *arguments))


@pytest.mark.slow  # Each compiles all of it: a minute on two cores. A step of two workers: test_distribution.
def test_two_workers_go_on_as_one_device_would(long_run, command, scenes_dir, tmp_path):
    workdir, temporary = tmp_path / "run", tmp_path / "temporary"
    shutil.copytree(long_run, workdir)
    for path in (workdir / "checkpoints").glob("step-32*"):
        path.unlink()
    temporary.mkdir()
    arguments = (*SMALL, *_steps(32, scenes_dir, workdir))
    processes = [
        command("xmcgan.train", *arguments, environment={**environment, "TMPDIR": str(temporary)})
        for environment in free_cluster.environments(2)
    ]
    chief, other = (finish(process, timeout=900) for process in processes)
    assert "restored" in chief and "step 32/32" in chief
    assert other == ""
    assert not list(temporary.iterdir())
    assert {path.name for path in workdir.iterdir()} == {path.name for path in long_run.iterdir()}
    assert list((workdir / "checkpoints").glob("step-32*"))
    lines, expected = read_metrics(workdir), read_metrics(long_run)
    assert lines[:6] == expected[:6]
    for line, of_one, tolerance in zip(lines[6:], expected[6:], (1e-4, 1e-3)):  # Rounding grows from step to step.
        assert line.keys() == of_one.keys() and line["step"] == of_one["step"]
        for loss in ("d/loss", "g/loss"):
            assert line[loss] == pytest.approx(of_one[loss], rel=tolerance)


def test_evaluation_during_training_is_for_one_machine(command, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", free_cluster.environments(2)[1]["TF_CONFIG"])
    process = command("xmcgan.train", *SMALL, f"--workdir={tmp_path}", "--config.evaluation.every=8")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("error: --config.evaluation.every=8 is for runs on one machine") and "--follow" in errors


def test_workdir_of_another_config_is_refused(trained, command, scenes_dir):
    workdir, _ = trained
    process = command(
        "xmcgan.train", *SMALL, f"--data_dir={scenes_dir}", f"--workdir={workdir}", "--config.training.seed=1"
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    last = errors.splitlines()[-1]
    assert last.startswith("error: ") and "config.training.seed=0, not 1" in last
    assert "Traceback" not in errors


def test_dataset_that_was_not_converted(command, tmp_path):
    process = command("xmcgan.train", "--dataset=coco2014", f"--data_dir={tmp_path}", f"--workdir={tmp_path}/run")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "python -m data_pipelines.convert --dataset=coco2014" in errors.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_text_encoder_that_cannot_be_fetched(command, scenes_dir, tmp_path):
    process = command(
        "xmcgan.train",
        *SMALL,
        f"--data_dir={scenes_dir}",
        f"--workdir={tmp_path}/run",
        "--config.text.encoder=http://localhost:9/bert/1",
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "--config.text.encoder=" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert not (tmp_path / "run").exists()  # The next try may name another encoder.


def test_not_finite_numbers_stop_the_run(tmp_path):
    metrics = {"d/loss": np.array([1.0, 2.0, np.nan]), "g/loss": np.array([1.0, np.inf, np.nan])}
    with pytest.raises(FloatingPointError, match=r"g/loss is inf at step 12: .*not_finite_step_0000012\.json"):
        stop_if_not_finite(str(tmp_path), 10, metrics)
    kept = json.loads((tmp_path / "not_finite_step_0000012.json").read_text())
    assert kept == {"step": 12, "d/loss": 2.0, "g/loss": "inf"}
    stop_if_not_finite(str(tmp_path), 10, {name: values[:1] for name, values in metrics.items()})


def test_steps_of_a_run_in_epochs():
    config = datasets.preset("coco2014")
    assert config.training.steps(82_783) == 107_791  # 1000 epochs in iterations of three batches of 256.
    config.training.update_rule = "joint"
    assert config.training.steps(82_783) == 161_686
    config.training.num_steps = 7
    assert config.training.steps(82_783) == 7


def test_samples_of_a_run(trained, command, scenes_dir, tmp_path):
    workdir, _ = trained
    (tmp_path / "captions.txt").write_text("a red ball on the beach\n\na blue star in the snow\n")
    arguments = (f"--workdir={workdir}", f"--data_dir={scenes_dir}", f"--captions={tmp_path}/captions.txt")
    arguments += ("--num_noise=2", f"--caption={'a long story ' * 200}")
    output = finish(command("xmcgan.sample", *arguments, f"--output={tmp_path}/drawn"))
    assert "6 images of 3 captions" in output
    assert "This model reads only the first" in output
    names = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert names == [f"caption_{row:04d}_seed_{seed}.png" for row in range(3) for seed in range(2)] + ["grid.png"]
    assert (tmp_path / "drawn" / names[0]).read_bytes() != (tmp_path / "drawn" / names[1]).read_bytes()


@pytest.mark.slow  # In one process: tests/xmcgan/test_text_to_image.py.
def test_the_same_command_draws_the_same_samples(trained, command, scenes_dir, tmp_path):
    arguments = (f"--workdir={trained[0]}", f"--data_dir={scenes_dir}", "--caption=a red ball", "--num_noise=2")
    for output in ("first", "second"):
        finish(command("xmcgan.sample", *arguments, f"--output={tmp_path}/{output}"))
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--caption=  ",), "caption 1"),
        ((), "give the captions"),
        (("--captions=missing.txt",), "missing.txt: No such file"),
        (("--captions=/dev/zero",), "/dev/zero is a pipe or a device"),
        (("--caption=a ball", f"--seed={2**32}"), "--seed"),
        (("--caption=a ball", "--num_noise=100000000"), "--num_noise"),
    ],
)
def test_bad_requests_for_samples(trained, command, scenes_dir, arguments, message):
    workdir, _ = trained
    process = command("xmcgan.sample", f"--workdir={workdir}", f"--data_dir={scenes_dir}", *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert message in errors.splitlines()[-1]
    assert "Traceback" not in errors


@pytest.mark.slow
def test_many_captions_get_several_grids(trained, command, scenes_dir, tmp_path):
    workdir, _ = trained
    arguments = (f"--workdir={workdir}", f"--data_dir={scenes_dir}", "--held_out=130", "--num_noise=1")
    output = finish(command("xmcgan.sample", *arguments, f"--output={tmp_path}"))
    assert "130 images of 130 captions" in output and "2 grids are" in output
    assert len(list(tmp_path.glob("caption_*.png"))) == 130
    heights = [Image.open(tmp_path / name).height for name in ("grid.png", "grid_002.png")]
    assert heights[0] > 128 * 128 > heights[1] > 2 * 128


def test_samples_of_no_run(command, tmp_path):
    process = command("xmcgan.sample", f"--workdir={tmp_path}", "--caption=a ball")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "no training run in" in errors.splitlines()[-1]


def test_samples_before_the_first_checkpoint(trained, command, scenes_dir, tmp_path):
    workdir, _ = trained
    shutil.copy(workdir / "config.json", tmp_path)
    process = command("xmcgan.sample", f"--workdir={tmp_path}", f"--data_dir={scenes_dir}", "--caption=a ball")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "no checkpoint in" in errors.splitlines()[-1]
