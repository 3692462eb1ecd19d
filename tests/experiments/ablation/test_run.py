"""Tests of running rows of the paper's tables: missing runs are run, finished ones are not, failures stop no others."""

from __future__ import annotations

import json
import os
import pathlib
import sys
import threading
import time

import pytest

from experiments.ablation import runner
from experiments.ablation.device_shares import Share
from experiments.ablation.jobs import default_budget, jobs_of, parse_fields
from experiments.ablation.runner import DONE, EVALUATING, TRAINING, WAITING, Runner, commands_of
from xmcgan.training.workdir import claim_workdir

ROWS = ["table5/self_modulation", "table5/attentional", "fig5/head_1"]


def _jobs(workdir, rows=ROWS, **options):
    return jobs_of(rows, str(workdir), **{"dataset": "scenes", "num_images": 8000, **options})


def test_every_row_has_the_same_budget_and_differs_in_its_own_fields(tmp_path):
    rows = ["update_rule/algorithm1", "update_rule/joint", "batch_size/64", "table5/self_modulation"]
    for job in _jobs(tmp_path, rows, num_images=160_000):
        options = job.config.training
        drawn = options.num_steps * options.batch_size * job.config.training.batches_per_iteration
        assert 160_000 <= drawn < 160_000 + 50 * options.batch_size * 3
    steps = {job.rows[0]: job.config.training.num_steps for job in _jobs(tmp_path, rows, num_images=160_000)}
    assert steps["batch_size/64"] < steps["update_rule/algorithm1"] < steps["update_rule/joint"]


def test_rows_of_the_same_experiment_share_a_run(tmp_path):
    jobs = jobs_of(["table5/attentional", "table4/s_w_i_d_vgg", "table7/g_d"], str(tmp_path), num_images=10**6, seeds=2)
    assert [job.rows for job in jobs] == [["table5/attentional", "table4/s_w_i_d_vgg", "table7/g_d"]] * 2
    assert [job.config.training.seed for job in jobs] == [0, 1]
    assert len({job.folder for job in jobs}) == 2
    # The folder is the same whichever of them is requested.
    assert jobs_of(["table7/g_d"], str(tmp_path), num_images=10**6)[0].folder == jobs[0].folder


def test_the_command_trains_the_job(tmp_path):
    (job,) = _jobs(tmp_path, ["fig5/head_1"], shared={"training.log_every": 100})
    (_, train), (_, evaluate) = commands_of(job, "records")
    assert train[:4] == [sys.executable, "-m", "xmcgan.train", "--dataset=scenes"]
    fields = {argument for argument in train if argument.startswith("--config.")}
    assert fields == {
        "--config.discriminator.contrastive_head_layers=1",
        "--config.losses.generator_image_encoder=1.0",  # On in all ablations, but not in the preset.
        "--config.training.num_steps=500",
        "--config.training.log_every=100",
    }
    assert evaluate[2:] == ["eval.evaluate", f"--workdir={job.folder}", "--data_dir=records"]


def test_fields_are_read_by_their_types():
    assert parse_fields(["training.log_every=100", "training.recompute=true", "losses.temperature=0.2"]) == {
        "training.log_every": 100,
        "training.recompute": True,
        "losses.temperature": 0.2,
    }
    for setting in ("training.log=1", "dataset=scenes", "training.log_every"):
        with pytest.raises(ValueError, match="sets no field of the config"):
            parse_fields([setting])
    with pytest.raises(ValueError, match=r"^'training.seed=5': --seeds sets training.seed$"):
        parse_fields(["training.seed=5"])
    with pytest.raises(ValueError, match=r"training.log_every takes a value of type int"):
        parse_fields(["training.log_every=often"])


# Replacements for training and evaluation, which record the call and write the same files.
_TRAIN = """
import json, os, sys, time
folder, steps, fails, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", float(sys.argv[4])
open(os.path.join(folder, "trained.txt"), "a").write("x")
json.dump([sorted(os.sched_getaffinity(0)), os.environ["SHARE"]], open(os.path.join(folder, "share.json"), "w"))
with open(os.path.join(folder, "metrics.jsonl"), "a") as file:
    file.write(json.dumps({"step": steps // 2}) + "\\n")
end = time.time() + seconds
while time.time() < end and not os.path.exists(os.path.join(folder, "seen")):
    time.sleep(0.02)
if fails:
    print("error: no such luck")
sys.exit(1 if fails else 0)
"""
_EVALUATE = """
import os, sys
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
scores = '{"FD/scenes": {"value": 44.608, "deviation": null, "better": "lower"}}'
with open(sys.argv[1], "w") as file:
    file.write('{"scores": %s, "real": {}, "pictures": {}, "protocol": {}, "details": {}}' % scores)
"""


@pytest.fixture
def quick(monkeypatch):
    """Replaces the commands; returns the set of rows that fail, and options such as the seconds of a training."""
    failing, options = set(), {"seconds": 0.0}

    def commands(job, data_dir):
        claim_workdir(job.folder, job.config)
        steps, fails = str(job.config.training.num_steps), str(bool(failing & set(job.rows)))
        train = [sys.executable, "-c", _TRAIN, job.folder, steps, fails, str(options["seconds"])]
        return [(TRAINING, train), (EVALUATING, [sys.executable, "-c", _EVALUATE, job.result_path])]

    monkeypatch.setattr(runner, "commands_of", commands)
    monkeypatch.setenv("SHARE", "whole")
    return failing, options


def _trainings(job) -> int:
    path = os.path.join(job.folder, "trained.txt")
    return os.path.getsize(path) if os.path.exists(path) else 0


@pytest.mark.parametrize("parallel", [1, 2])
def test_missing_runs_are_run_and_finished_ones_are_not(parallel, quick, tmp_path):
    failing, _ = quick
    failing.add("table5/attentional")
    jobs, said = _jobs(tmp_path), []
    failures = Runner("records", said.append).run(jobs, parallel)
    assert list(failures) == [jobs[1].folder]
    assert "ended with status 1: error: no such luck (see " in failures[jobs[1].folder]
    assert [_trainings(job) for job in jobs] == [1, 1, 1]
    assert [job.is_finished() for job in jobs] == [True, False, True]
    assert said[-1].splitlines()[0] == "done           seed 0  table5/self_modulation  FD/scenes 44.61"
    failed = said[-1].splitlines()[1]
    assert failed.startswith("failed         seed 0  table5/attentional  ") and "error: no such luck (see " in failed
    failing.clear()
    assert Runner("records", said.append).run(jobs, parallel) == {}
    assert [_trainings(job) for job in jobs] == [1, 2, 1]
    last = said[-1].splitlines()
    assert [line.split()[0] for line in last] == [DONE] * 3 and "fig5/head_1" in last[2]


def test_each_run_has_its_share_of_the_machine(quick, monkeypatch, tmp_path):
    core = min(os.sched_getaffinity(0))
    shares = [Share(frozenset({core}), {"SHARE": "a"}), Share(frozenset({core}), {"SHARE": "b"})]
    monkeypatch.setattr(runner, "shares_of_machine", lambda parallel, batch_size: shares)
    quick[1]["seconds"] = 1.0
    jobs = _jobs(tmp_path)
    Runner("records", lambda table: None).run(jobs, parallel=2)
    found = [json.loads((tmp_path / job.folder / "share.json").read_text()) for job in jobs]
    assert {environment for _, environment in found} == {"a", "b"}
    assert all(cores == [core] for cores, _ in found)


def test_two_processes_do_not_work_in_one_folder(quick, tmp_path):
    (job,) = _jobs(tmp_path, ROWS[:1])
    with runner._locked(job.folder):
        failures = Runner("records", lambda table: None).run([job])
    assert f"{job.folder} is in use by process" in failures[job.folder] and _trainings(job) == 0
    assert Runner("records", lambda table: None).run([job]) == {}


def test_a_run_of_other_settings_is_refused(quick, tmp_path):
    jobs = _jobs(tmp_path)
    assert Runner("records", lambda table: None).run(jobs) == {}
    changed = _jobs(tmp_path, shared={"generator.channels": 4})
    failures = Runner("records", lambda table: None).run(changed)
    assert len(failures) == 3
    assert all("config.generator.channels=8, not 4" in reason for reason in failures.values())
    shorter = _jobs(tmp_path, num_images=4000)
    failures = Runner("records", lambda table: None).run(shorter)
    assert all("trained for 500 steps, more than the 250 asked for" in reason for reason in failures.values())
    # With more images, the run continues.
    longer = _jobs(tmp_path, num_images=16_000)
    assert not any(job.is_finished() for job in longer)
    assert Runner("records", lambda table: None).run(longer) == {}
    assert all(job.is_finished() for job in longer)


def test_the_table_shows_the_progress(quick, tmp_path):
    _, options = quick
    options["seconds"] = 20.0  # At most, see below.
    (job,) = _jobs(tmp_path, ROWS[:1])
    runner = Runner("records", lambda table: None)
    runner._states = {job.folder: WAITING}
    assert runner.table([job]).startswith("waiting")
    thread = threading.Thread(target=runner.run, args=([job],))
    thread.start()
    deadline = time.time() + 20
    while "training 50%" not in runner.table([job]) and time.time() < deadline:
        time.sleep(0.05)
    assert "training 50%" in runner.table([job]) and "table5/self_modulation" in runner.table([job])
    pathlib.Path(job.folder, "seen").touch()
    thread.join()
    assert runner.table([job]).startswith("done")


def test_an_interrupt_ends_running_processes_and_the_next_call_resumes(quick, tmp_path):
    _, options = quick
    options["seconds"] = 60.0
    jobs = _jobs(tmp_path)

    def interrupt(table):
        raise KeyboardInterrupt

    runner = Runner("records", interrupt)
    start = time.time()
    threading.Timer(1.0, lambda: runner._stop()).start()  # Like a signal, before any job has ended.
    with pytest.raises(KeyboardInterrupt):
        runner.run(jobs)
    assert time.time() - start < 30
    assert not any(job.is_finished() for job in jobs)
    assert not any(os.path.exists(job.folder) for job in jobs[1:])  # No further job was started.
    options["seconds"] = 0.0
    assert Runner("records", lambda table: None).run(jobs) == {}


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        ([], 2, "give what to run"),
        (["--row=table4/x"], 1, "table4 has none, s, w"),
        (["--row=table4/s_w", "--set=training.x=1"], 1, "sets no field of the config"),
        (
            ["--table=table5", "--dataset=scenes", "--num_pictures=8000", "--dry_run"],
            0,
            "--config.training.num_steps=500",
        ),
    ],
)
def test_the_command_line(arguments, status, words, command, tmp_path):
    process = command("experiments.run", f"--workdir={tmp_path}", *arguments)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == status
    assert words in (errors if status else output) and "Traceback" not in errors


@pytest.mark.slow
def test_a_row_really_run(scenes_dir, command, tmp_path):
    sizes = ["generator.channels=1", "discriminator.channels=1", "training.batch_size=2", "training.steps_per_call=2"]
    sizes += ["training.log_every=2", "training.sample_every=0", "training.checkpoint_every=2"]
    sizes += ["evaluation.num_samples=50", "evaluation.metrics=fid,is"]  # Too few images for a dual encoder.
    arguments = ["--row=table6/vgg_l2", "--dataset=scenes", "--num_pictures=8", f"--data_dir={scenes_dir}"]
    arguments += [f"--workdir={tmp_path}", *(f"--set={setting}" for setting in sizes)]
    for _ in range(2):
        process = command("experiments.run", *arguments)
        output, errors = process.communicate(timeout=3600)
        assert process.returncode == 0, output + errors
        assert output.strip().splitlines()[-1].startswith("done")
    with open(scenes_dir / "scenes" / "image_encoder" / "recognizer.json", encoding="utf-8") as file:
        assert json.load(file)["recall"] > 0.5  # The network that replaces VGG was trained on first use.
    (job,) = (path for path in tmp_path.rglob("finished.json"))
    assert json.loads(job.read_text()) == {"rows": ["table6/vgg_l2"], "steps": 4}


def test_default_budgets():
    assert default_budget("scenes") == 5200 * 16  # The demo's.
    assert default_budget(None) == default_budget("ln_coco") == 1000 * 82_783
