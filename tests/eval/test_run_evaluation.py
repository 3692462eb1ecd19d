"""Whole evaluations of runs and folders, with networks with very little training."""

from __future__ import annotations

import functools
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_pipelines.datasets import preset
from data_pipelines.training_data import TrainingData
from eval import evaluation as evaluation_lib
from eval import image_folder, results, run_evaluation
from eval.evaluation import Evaluation
from eval.run_evaluation import RunEvaluation, follow, keep_if_best
from eval.scenes import scene_evaluators
from eval.score import LOWER, Score
from eval.sources import GeneratedImages
from xmcgan.models.text_encoder import load_text_encoder
from xmcgan.text_to_image import TextToImage
from xmcgan.training import checkpoints, cluster
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.loop import train
from xmcgan.training.state import TrainState
from xmcgan.training.workdir import claim_workdir

NAMES = ["FD/scenes", "KD/scenes", "IS/scenes", "R-precision/scenes", "SOA-C/scenes", "SOA-I/scenes"]


def _config(**options):
    config = preset("scenes")
    config.generator.channels = config.discriminator.channels = 1
    config.training.batch_size = 2
    sizes = {"num_samples": 50, "batch_size": 16, "mismatches": 20, "kernel_subset_size": 30, "kernel_subsets": 5}
    for name, value in {**sizes, **options}.items():
        setattr(config.evaluation, name, value)
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with checkpoints of steps 1 and 2, whose images differ."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    config = _config()
    state = TrainState(config)
    claim_workdir(str(workdir), config)
    kept = Checkpoints(str(workdir), state, max_to_keep=5)
    for step in (1, 2):
        kernel = state.ema_generator.to_rgb.kernel
        kernel.assign(20.0 * step * tf.random.stateless_normal(kernel.shape, [step, 0]))
        state.step.assign(step)
        kept.save()
    return workdir


@pytest.fixture
def copied(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def model(run, evaluators_dir):
    return TextToImage.from_run(str(run), str(evaluators_dir))


@functools.cache  # It loads all networks.
def _prepare(data_dir, strategy=None, **options):
    return Evaluation.prepare(_config(**options), str(data_dir), strategy or tf.distribute.get_strategy())


def _evaluate(workdir, data_dir, model, which="latest", with_curve=False, **options):
    evaluate = RunEvaluation(str(workdir), _prepare(data_dir, **options))
    return evaluate(checkpoints.find(str(workdir), which), model, with_curve)


def test_a_run_is_evaluated_and_the_result_kept(copied, evaluators_dir, model, monkeypatch):
    result = _evaluate(copied, evaluators_dir, model, with_curve=True)
    assert [each.name for each in result.scores] == NAMES
    assert all(np.isfinite(each.value) for each in result.scores)
    assert [each.name for each in result.real] == NAMES[2:]  # Distances are to the real images.
    assert result.images == {"run": "run", "step": 2, "weights": "averaged"}
    assert result.protocol["captions"]["num_samples"] == 50
    assert result.protocol["captions"]["num_images"] == 20
    assert result.details["curve"]["points"]
    assert sorted(path.name for path in (copied / "eval").iterdir()) == ["2.json", "2_curve.png"]
    assert results.read(str(copied / "eval" / "2.json")).scores == result.scores
    written = (copied / "eval" / "2.json").read_text()
    assert "run/" not in written and str(evaluators_dir) not in written  # Results must not contain paths.
    assert result.details["weights"]["image network scenes"] == scene_evaluators.RECOGNIZER

    # Another protocol replaces the result. After that, both results are found, and nothing is measured again.
    other = _evaluate(copied, evaluators_dir, model, metrics="is")
    monkeypatch.setattr(evaluation_lib, "collect", None)
    assert _evaluate(copied, evaluators_dir, model).scores == result.scores
    assert _evaluate(copied, evaluators_dir, model, metrics="is").scores == other.scores


def test_networks_of_scenes_are_trained_outside_of_the_scope(evaluators_dir, monkeypatch):
    # Variables that are created inside the scope could only be trained on replicas.
    prepared = []

    def prepare(handle, data_dir):
        assert not tf.distribute.has_strategy()
        prepared.append((handle, str(data_dir)))

    monkeypatch.setattr(scene_evaluators, "prepare", prepare)
    _prepare.__wrapped__(evaluators_dir, tf.distribute.MirroredStrategy(["CPU:0"]))
    _prepare.__wrapped__(evaluators_dir, metrics="is")
    names = [handle for handle, data_dir in prepared if data_dir == str(evaluators_dir)]
    assert names == [scene_evaluators.RECOGNIZER, scene_evaluators.DUAL_ENCODER, scene_evaluators.RECOGNIZER]


def test_the_newest_result_of_another_run_that_was_measured_alike(tmp_path):
    def write(step, protocol):
        result = results.Result([], [], {"run": "other", "step": step}, protocol, {})
        results.write(str(tmp_path / "eval" / f"{step}.json"), result)
        return result

    assert run_evaluation.newest_alike(str(tmp_path), write(1, {"seed": 0})) == (1, write(1, {"seed": 0}))
    newest = write(20, {"seed": 0})
    other = write(300, {"seed": 1})
    assert run_evaluation.newest_alike(str(tmp_path), newest) == (20, newest)
    assert run_evaluation.newest_alike(str(tmp_path), other._replace(protocol={"seed": 2})) is None
    assert run_evaluation.newest_alike(str(tmp_path / "nowhere"), newest) is None


@pytest.mark.slow  # Three evaluations. Batches of any size: test_collection; images of each place: test_sources.
def test_numbers_depend_on_the_list_and_not_on_the_batch(copied, evaluators_dir, model):
    one = _evaluate(copied, evaluators_dir, model)
    shutil.rmtree(copied / "eval")
    other = _evaluate(copied, evaluators_dir, model, batch_size=7)
    for ours, expected in zip(other.scores, one.scores):
        assert ours.value == pytest.approx(expected.value, rel=2e-3, abs=1e-3), ours.name  # A level of 255 may differ.
    assert other.protocol == one.protocol
    shutil.rmtree(copied / "eval")
    assert _evaluate(copied, evaluators_dir, model, seed=1).protocol != one.protocol


@pytest.mark.slow  # Three evaluations. What resumes: test_collection, test_references.
def test_a_killed_evaluation_resumes(copied, evaluators_dir, model, monkeypatch):
    monkeypatch.setattr("eval.collection._PART", 16)
    evaluate = functools.partial(_evaluate, copied, evaluators_dir, model, "1", metrics="fid,is")
    undisturbed = evaluate()
    shutil.rmtree(copied / "eval")
    batches, given = GeneratedImages.batches, []

    def some_batches(self, first, batch_size):
        given.append(first)
        for number, batch in enumerate(batches(self, first, batch_size)):
            if len(given) == 1 and number == 2:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(GeneratedImages, "batches", some_batches)
    with pytest.raises(KeyboardInterrupt):
        evaluate()
    assert evaluate().scores == undisturbed.scores
    assert given == [0, 32]


def test_a_folder_of_the_same_images_gets_the_same_scores(copied, evaluators_dir, model, tmp_path):
    expected = _evaluate(copied, evaluators_dir, model)
    evaluation = _prepare(evaluators_dir)
    listed = evaluation.listed
    source = GeneratedImages(model, listed.captions, range(50))
    folder = tmp_path / "images"
    folder.mkdir()
    lines = []
    for number, image in enumerate(np.concatenate([source.images(batch).numpy() for batch in source.batches(0, 16)])):
        Image.fromarray(image).save(folder / f"{number}.png")
        lines.append(f"{number}.png\t{listed.captions[number]}\t{listed.image_ids[number]}\n")
    (folder / "captions.tsv").write_text("".join(lines))
    result = evaluation.evaluate_folder(image_folder.read(str(folder)))
    assert [each.name for each in result.scores] == NAMES
    for ours, drawn in zip(result.scores, expected.scores):
        assert ours.value == pytest.approx(drawn.value, rel=2e-3, abs=1e-3), ours.name
    assert result.real == expected.real


@pytest.mark.slow  # Three runs, each of which is traced.
def test_training_evaluates_and_makes_up_for_a_missing_evaluation(evaluators_dir, tmp_path):
    losses = {}
    config = _config(every=2, metrics="fid,is")
    config.training.num_steps = 4
    for name in ("steps_per_call", "checkpoint_every", "log_every", "sample_every"):
        setattr(config.training, name, 2)
    strategy = cluster.create_strategy()
    with strategy.scope():
        text_encoder = load_text_encoder(config, str(evaluators_dir))
    data = TrainingData(config, evaluators_dir)
    workdir = str(tmp_path / "run")
    evaluate = run_evaluation.evaluator(config, str(evaluators_dir), workdir, strategy, text_encoder)
    train(config, workdir, data, text_encoder, evaluate=evaluate, strategy=strategy)
    files = [tmp_path / "run" / "eval" / f"{step}.json" for step in (2, 4)]
    scores = [json.loads(file.read_text())["scores"] for file in files]
    assert [list(each) for each in scores] == [["FD/scenes", "IS/scenes"]] * 2
    best = checkpoints.read_best(str(tmp_path / "run"))
    values = [each["FD/scenes"]["value"] for each in scores]
    assert (best["value"], best["step"]) == (min(values), 2 * (1 + int(np.argmin(values))))

    files[1].unlink()  # As if it had been killed before its last evaluation.
    train(config, workdir, data, text_encoder, evaluate=evaluate, strategy=strategy)
    assert json.loads(files[1].read_text())["scores"] == scores[1]

    # Evaluation does not change the training.
    train(config, str(tmp_path / "alone"), data, text_encoder, strategy=strategy)
    for folder in ("run", "alone"):
        lines = [json.loads(line) for line in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()]
        losses[folder] = [{name: line[name] for name in ("step", "d/loss", "g/loss")} for line in lines]
    assert len(losses["run"]) == 2
    assert losses["run"] == losses["alone"]


def _result(value, seed=0):
    return results.Result([Score("FD/scenes", value, None, LOWER)], [], {}, {"seed": seed}, {})


def test_the_best_is_the_lowest_distance_by_one_protocol(copied):
    workdir = str(copied)
    paths = [checkpoints.find(workdir, step) for step in ("1", "2")]
    assert keep_if_best(workdir, paths[0], _result(20.0))
    assert not keep_if_best(workdir, paths[1], _result(20.5))
    assert keep_if_best(workdir, paths[1], _result(19.0))
    assert not keep_if_best(workdir, paths[0], _result(1.0, seed=1))  # Another protocol cannot be compared.
    assert checkpoints.step_of(checkpoints.find(workdir, "best")) == 2
    without = results.Result([Score("IS/scenes", 9.0, None, "higher")], [], {}, {"seed": 0}, {})
    assert not keep_if_best(workdir, paths[0], without)


def test_following_ends_with_the_last_step_or_the_timeout(copied):
    assert [checkpoints.step_of(path) for path in follow(str(copied), last_step=2, timeout=60)] == [2]
    assert [checkpoints.step_of(path) for path in follow(str(copied), last_step=3, timeout=0.1)] == [2]


def test_the_command(copied, evaluators_dir, command):
    arguments = [f"--workdir={copied}", f"--data_dir={evaluators_dir}", "--checkpoint=all", "--metrics=soa,fid"]
    process = command("eval.evaluate", *arguments)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    lines = output.splitlines()
    assert lines[0].split()[::2] == ["FD/scenes", "SOA-C/scenes", "SOA-I/scenes"]
    assert [line.split("  ")[0] for line in lines[1:4]] == ["step 1", "step 2", "real images"]
    assert "best so far" in errors


@pytest.mark.slow  # A run by the command: above. An export draws as its run does: tests/xmcgan/test_text_to_image.py.
def test_an_export_is_evaluated_as_its_run_is(export_dir, drawing_run, evaluators_dir, command, tmp_path):
    shutil.copytree(export_dir, tmp_path / "ball")
    arguments = [f"--data_dir={evaluators_dir}", "--dataset=scenes", "--metrics=fid", "--num_samples=20"]
    process = command("eval.evaluate", f"--export={tmp_path / 'ball'}", *arguments)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert output.splitlines()[1].startswith("ball/1 ")
    assert [path.name for path in (tmp_path / "ball" / "eval").iterdir()] == ["1.json"]
    result = results.read(str(tmp_path / "ball" / "eval" / "1.json"))
    assert result.images["export"] == "ball/1"

    model = TextToImage.from_run(str(drawing_run), str(evaluators_dir))
    evaluation = _prepare(evaluators_dir, metrics="fid", num_samples=20, batch_size=50)
    expected = evaluation.evaluate_model(model, str(tmp_path / "seen"))
    assert result.scores[0].value == pytest.approx(expected.scores[0].value, rel=2e-3)
    assert result.protocol == expected.protocol


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "name what to evaluate: --workdir=RUN, or --export or --images=FOLDER with --dataset"),
        (["--images=x"], "--images needs --dataset"),
        (["--images=x", "--dataset=scenes", "--follow"], "--follow belongs to --workdir: leave it out"),
        (["--workdir={run}", "--dataset=scenes"], "--dataset belongs to --export and --images: leave it out"),
        (["--export=x"], "--export needs --dataset"),
        (["--export=/nowhere", "--dataset=scenes"], "/nowhere"),
        (["--workdir=/nowhere"], "no training run in /nowhere"),
        (["--workdir=pretrained:scenes"], "show it beside one, with --beside=pretrained:scenes"),
        (["--workdir={run}", "--checkpoint=7"], "no checkpoint of step 7"),
        (["--workdir={run}", "--metrics=clip"], "--metrics='clip' is not possible: give some of fid"),
        (["--workdir={run}", "--metrics=r_precision", "--mismatches=99"], "lower --mismatches"),
        (["--workdir={run}", "--network=tfgan", "--network_weights=/nowhere"], "--network_weights='/nowhere'"),
        (["--workdir={run}", "--metrics=soa", "--soa_captions=/nowhere"], "/nowhere"),
        (["--workdir={run}", "--beside=/nowhere"], "no training run in /nowhere"),
    ],
)
def test_mistakes_get_one_line(arguments, words, run, evaluators_dir, command):
    arguments = [argument.format(run=run) for argument in arguments]
    process = command("eval.evaluate", f"--data_dir={evaluators_dir}", *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert words in errors.splitlines()[-1]
    assert "Traceback" not in errors
