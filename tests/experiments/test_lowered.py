"""A lowered run: its random numbers and batches against the trainer's, and its steps in JAX against TensorFlow's."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("jax", reason="lowering needs JAX: pip install 'xmcgan[lowered]'")

from data_pipelines import input_pipeline
from data_pipelines.datasets import preset
from experiments.lowering import folder as lowered_folder
from experiments.lowering import runner
from tests.support.train_here import train_here
from xmcgan.config import Config
from xmcgan.config_checks import validate
from xmcgan.models.text_encoder import TOKEN_FEATURES, load_text_encoder
from xmcgan.training import checkpoints, random_numbers

STEPS = 20


def _config() -> Config:
    """The smallest networks, and everything that takes random numbers or depends on the step."""
    config = preset("scenes")
    config.generator.channels = config.discriminator.channels = 1
    config.data.random_flip = True
    options = config.training
    options.batch_size, options.num_steps, options.log_every, options.steps_per_call = 4, STEPS, 5, 5
    options.sample_every, options.checkpoint_every, options.max_checkpoints = 0, 10, 9
    options.augmentation, options.learning_rate_decay_steps, options.ema_warmup = "translation,cutout", 8, True
    # Otherwise Adam turns a gradient of 1e-9, which is rounding, into a full step. The test's BERT is hardly trained:
    # captions look alike to it, and at higher rates the contrastive losses double a difference every step.
    options.adam_epsilon, options.generator_learning_rate, options.discriminator_learning_rate = 1e-3, 1e-4, 1e-4
    return validate(config)


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("number", [0, 1, (1 << 32) + 1])
def test_random_numbers_are_those_of_tensorflow(seed, number):
    for distribution, function in {"normal": runner.normal, "uniform": runner.uniform}.items():
        draw = random_numbers.Draw(distribution, (5, 7), number)
        for step in (0, 1, 1_000_000):
            expected = random_numbers.rows(draw, seed, tf.constant(step, tf.int64))
            actual = function(lowered_folder._key(draw, seed), step, list(draw.shape))
            assert actual.dtype == np.float32
            np.testing.assert_allclose(actual, expected, rtol=0, atol=3e-7 if distribution == "normal" else 0)


def test_batches_are_those_of_the_trainer(scenes_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(lowered_folder, "_CHUNK", 16)
    monkeypatch.setattr(lowered_folder, "_POSITIONS", 30)
    config = _config()
    text_encoder = load_text_encoder(config, str(scenes_dir))
    num_images = input_pipeline.num_examples("scenes", "train", scenes_dir)
    first, last = 3, 20  # More than an epoch: 60 images make 15 batches.
    counts = lowered_folder._write_images(tmp_path, config, str(scenes_dir), num_images, text_encoder)
    lowered_folder._write_stream(tmp_path, config, counts, first, last)
    manifest = {"first_step": first, "random_numbers": []}
    size, batch_size = config.data.image_size, config.training.batch_size
    expected = input_pipeline.training_batches(
        "scenes", scenes_dir, batch_size=batch_size, image_size=size, random_flip=True, seed=0, start_batch=first
    )
    for inputs, batch in zip(runner.batches(tmp_path, manifest, first, last), expected.as_numpy_iterator()):
        tokens = text_encoder.tokenize(batch.caption)
        named = dict(zip(sorted([*TOKEN_FEATURES, "image"]), inputs))
        np.testing.assert_array_equal(named.pop("image"), batch.image)
        for name, values in named.items():
            np.testing.assert_array_equal(values, tokens[name])


def _tensors(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(checkpoints.find(str(workdir), str(step)))
    names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    return {name: reader.get_tensor(name) for name in names}


def _lines(workdir: pathlib.Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["images_per_second"]
    return lines


@pytest.mark.slow  # Two minutes: XLA compiles the iteration on a CPU.
def test_twenty_steps_there_and_back_are_those_of_tensorflow(scenes_dir, tmp_path):
    config = _config()
    train_here(config, scenes_dir, tmp_path / "expected")
    text_encoder = load_text_encoder(config, str(scenes_dir))
    folder, workdir = tmp_path / "lowered", tmp_path / "run"
    assert lowered_folder.write(folder, config, str(scenes_dir), str(workdir), text_encoder) == 0

    assert runner.train(folder, last=7, checkpoint_every=5) == 0  # 7 is between two logged steps.
    assert runner.train(folder, checkpoint_every=5) == 0
    assert lowered_folder.read(folder) == (str(workdir), STEPS)

    # The way back is exact, and the numbers are TensorFlow's but for rounding.
    trained = runner.newest_checkpoint(folder)
    actual, expected = _tensors(workdir, STEPS), _tensors(tmp_path / "expected", STEPS)
    assert actual.keys() == expected.keys()
    written = {value.tobytes() for value in trained.state}
    for name, value in actual.items():
        assert "save_counter" in name or value.tobytes() in written, name
        # A bias before a batch normalization has no gradient but that of rounding, and stays within 1e-6 of 0.
        scale = np.abs(expected[name]).max() + 1e-2
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-4 * scale, err_msg=name)
    lines, expected_lines = _lines(workdir), _lines(tmp_path / "expected")
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    for actual_line, expected_line in zip(lines, expected_lines):
        assert actual_line.keys() == expected_line.keys()
        for name, number in expected_line.items():
            assert actual_line[name] == pytest.approx(number, rel=1e-5, abs=1e-5), name

    # A run that is trained to its end is not lowered again.
    with pytest.raises(ValueError, match="is trained: step 20 of 20"):
        lowered_folder.write(tmp_path / "again", config, str(scenes_dir), str(workdir), text_encoder)
