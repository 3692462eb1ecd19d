"""The loss against a closed form, two replicas against one, and training: it learns, resumes and checks its options."""

from __future__ import annotations

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import records
from eval.retrieval import dual_encoder, dual_encoder_training
from eval.retrieval.caption_pairs import ConvertedPairs
from eval.retrieval.dual_encoder_update import matching_loss
from tests.support import tiny_dual_encoder
from tests.support.commands import run_without_gpus
from tests.support.eagerly import eagerly


def _metrics(folder) -> list[dict]:
    return [json.loads(line) for line in (pathlib.Path(folder) / "work" / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(scenes_dir, tmp_path_factory):
    """A folder in which the tiny dual encoder has been trained for two steps, and its report."""
    folder = tmp_path_factory.mktemp("trained")
    with eagerly():
        return folder, tiny_dual_encoder.train(scenes_dir, folder, steps=2, evaluate_every=2)


def test_pairs_with_the_same_words_or_image_are_not_negatives():
    rng = np.random.default_rng(1)
    images, captions = rng.normal(size=[2, 5, 3])
    image_keys, caption_keys = [1, 2, 3, 1, 5], [10, 20, 20, 30, 50]  # Images 0 and 3, and captions 1 and 2.
    allowed = np.ones([5, 5], bool)
    for i, j in ((0, 3), (1, 2)):
        allowed[i, j] = allowed[j, i] = False
    cosines = images @ captions.T / np.outer(np.linalg.norm(images, axis=1), np.linalg.norm(captions, axis=1))
    terms = np.exp(cosines / 0.2) * allowed
    own = np.diag(terms)
    expected = -np.mean(np.log(own / terms.sum(axis=0)) + np.log(own / terms.sum(axis=1)))

    temperature = tf.Variable(0.2, dtype=tf.float64)
    embeddings = [tf.Variable(images), tf.Variable(captions)]
    with tf.GradientTape() as tape:
        matching = matching_loss(*embeddings, tf.constant(image_keys), tf.constant(caption_keys), temperature)
    np.testing.assert_allclose(matching.loss, expected, rtol=1e-9)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(matching.loss, [*embeddings, temperature]))


def test_a_batch_of_one_image_has_nothing_to_learn():
    rows = np.random.default_rng(1).normal(size=[4, 3])
    matching = matching_loss(rows, rows[::-1], tf.zeros([4]), tf.range(4), tf.constant(0.1, tf.float64))
    np.testing.assert_allclose(matching.loss, 0.0, atol=1e-9)


@pytest.mark.slow
def test_two_replicas_train_as_one(scenes_dir, tmp_path):
    folders = tmp_path / "two", tmp_path / "one"
    run_without_gpus("tests.support.dual_encoder_on_two_replicas", scenes_dir, folders[0])
    tiny_dual_encoder.train(scenes_dir, folders[1])
    on_two, on_one = (
        [[line[name] for name in ("loss", "accuracy", "temperature")] for line in _metrics(folder)]
        for folder in folders
    )
    assert len(on_one) == tiny_dual_encoder.OPTIONS.steps
    np.testing.assert_allclose(on_two, on_one, rtol=1e-4)
    captions = tf.constant(["a red ball", "a box"])
    embeddings = [
        dual_encoder.load_dual_encoder(str(folder / "output")).encode_captions(captions) for folder in folders
    ]
    np.testing.assert_allclose(*embeddings, atol=1e-3)


@pytest.mark.slow  # Sixty steps, and three evaluations on held-out pairs.
def test_a_short_training_learns(scenes_dir, tmp_path):
    report = tiny_dual_encoder.train(scenes_dir, tmp_path, steps=60, learning_rate=3e-3, evaluate_every=20)
    losses = [line["loss"] for line in _metrics(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]
    assert report == dual_encoder.read_report(tmp_path / "output")
    held_out = report["held_out"]
    assert (held_out["pairs"], held_out["mismatches"]) == (20, 10)
    assert 0.0 <= held_out["r_precision"] <= 1.0


def test_a_trained_dual_encoder_is_not_changed(scenes_dir, trained):
    folder, report = trained
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert tiny_dual_encoder.train(scenes_dir, folder, steps=2) == report
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_captions_are_those_of_the_training_split(scenes_dir):
    pairs = ConvertedPairs("scenes", scenes_dir)
    captions = set(pairs.captions().as_numpy_iterator())
    training, held_out = (
        {
            caption
            for example in records.open_dataset("scenes", scenes_dir).as_dataset(split=split).as_numpy_iterator()
            for caption in example["captions"]
        }
        for split in ("train", "validation")
    )
    assert captions == training != held_out
    batch = next(iter(pairs.held_out_batches(batch_size=50, image_size=16)))
    assert batch.image.shape == [20, 16, 16, 3]
    assert set(batch.caption.numpy()) <= held_out


@pytest.mark.slow
def test_scenes_have_a_preset(scenes_dir, tmp_path):
    report = dual_encoder_training.build_for_scenes(tmp_path / "built", scenes_dir, steps=1, batch_size=16)
    assert report["options"]["seed"] != 0
    assert report["name"] == "scenes"
    assert os.listdir(tmp_path) == ["built"]
    assert dual_encoder_training.build_for_scenes(tmp_path / "built", scenes_dir) == report


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batch_size": 61}, "--batch_size=61 is more than the 60 training images"),
        ({"batch_size": 1}, "--batch_size=1: set a multiple of the 1 replica"),
        ({"steps": 0}, "--steps and --learning_rate must be greater than 0"),
        ({"learning_rate": float("inf")}, "--steps and --learning_rate must be greater than 0, and finite"),
    ],
)
def test_impossible_options_are_refused(changes, message, scenes_dir, tmp_path):
    with pytest.raises(ValueError, match=message):
        tiny_dual_encoder.train(scenes_dir, tmp_path, **changes)
    assert not os.listdir(tmp_path)


def test_a_text_tower_that_cannot_be_loaded_claims_nothing(scenes_dir, tmp_path):
    towers = tiny_dual_encoder.OPTIONS.towers._replace(text_tower="bert", text_preprocessor="/no", text_encoder="/no")
    with pytest.raises(FileNotFoundError, match="--text_preprocessor='/no': there is no such folder"):
        tiny_dual_encoder.train(scenes_dir, tmp_path, towers=towers)
    assert not os.listdir(tmp_path)


def test_an_output_that_is_a_file_is_refused_before_the_training(scenes_dir, tmp_path):
    (tmp_path / "output").touch()
    with pytest.raises(NotADirectoryError, match="/output is a file: name another folder"):
        tiny_dual_encoder.train(scenes_dir, tmp_path)
    assert os.listdir(tmp_path) == ["output"]


def test_a_folder_of_something_else_is_refused(scenes_dir, trained, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "options.json").write_bytes((trained[0] / "work" / "options.json").read_bytes())
    with pytest.raises(ValueError, match=r"holds a training with steps=2, not 7: give another --workdir"):
        tiny_dual_encoder.train(scenes_dir, tmp_path, steps=7)
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="is not empty, and has no dual encoder"):
        tiny_dual_encoder.train(scenes_dir, tmp_path)


@pytest.mark.slow  # Traces a step. The same of a run: tests/xmcgan/training/test_loop.py.
def test_a_loss_that_is_not_finite_ends_the_training(scenes_dir, tmp_path):
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step \d: lower --learning_rate"):
        tiny_dual_encoder.train(scenes_dir, tmp_path, learning_rate=1e38, evaluate_every=6)
    assert not (tmp_path / "output").exists()
