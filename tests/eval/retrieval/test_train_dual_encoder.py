"""The command, killed and started again, on images in a folder."""

from __future__ import annotations

import json
import pathlib
import time

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import records
from eval.retrieval import conceptual_captions
from eval.retrieval.dual_encoder import load_dual_encoder
from eval.retrieval.dual_encoder_training import TrainingOptions, train
from eval.retrieval.towers import TowerOptions

STEPS = 40


@pytest.fixture(scope="module")
def images(scenes_dir, tmp_path_factory) -> pathlib.Path:
    """A folder of scenes with a table of their captions; the image of one caption is missing."""
    folder = tmp_path_factory.mktemp("images")
    lines = ["an image that is gone\tgone.jpg"]
    decoders = {"image": tfds.decode.SkipDecoding()}
    for example in records.open_dataset("scenes", scenes_dir).as_dataset(split="train", decoders=decoders):
        name = f"{example['image_id'].numpy().decode()}.jpg"
        (folder / name).write_bytes(example["image"].numpy())
        lines += [f"{caption.decode()}\t{name}" for caption in example["captions"].numpy()]
    (folder / "pairs.tsv").write_text("\n".join(lines))
    return folder


def _arguments(images: pathlib.Path, output: pathlib.Path) -> list[str]:
    return [
        f"--pictures={images}",
        f"--captions={images / 'pairs.tsv'}",
        f"--output={output}",
        "--name=drawn",
        "--image_size=16",
        "--dim=16",
        "--batch_size=16",
        f"--steps={STEPS}",
        "--checkpoint_every=5",
    ]


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_result(command, images, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = command("eval.train_dual_encoder", *_arguments(images, killed))
    checkpoints = tmp_path / "killed.training" / "checkpoints"
    while len(list(checkpoints.glob("step-*.index"))) < 2:  # By then the first one is registered.
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not killed.exists()
    assert json.loads((tmp_path / "killed.training" / "unfit_pictures.json").read_text())["unfit"] == {
        "gone.jpg": "missing image"
    }

    process = command("eval.train_dual_encoder", *_arguments(images, killed))
    output, log = process.communicate()
    assert process.returncode == 0, log
    assert "of 6 held-out images find their caption among 4" in output
    assert "dual encoder 'drawn' in " in output
    assert "1 of 61 images are left out: 1 missing image" in log
    assert f"restored {checkpoints}" in log
    assert f"step {STEPS}/{STEPS}" in log
    assert "images/s" in log

    read = conceptual_captions.read_pairs(images, images / "pairs.tsv")
    pairs = conceptual_captions.ConceptualCaptions(images, [pair for pair in read if pair.file != "gone.jpg"])
    options = TrainingOptions(TowerOptions(image_size=16, dim=16), batch_size=16, steps=STEPS, learning_rate=1e-3)
    train(options, pairs, str(tmp_path / "whole.training"), str(whole))
    encoders = [load_dual_encoder(str(folder)) for folder in (killed, whole)]
    pixels = np.random.default_rng(0).integers(0, 256, [4, 16, 16, 3]).astype(np.uint8)
    np.testing.assert_allclose(*(encoder.encode_images(pixels) for encoder in encoders), atol=1e-4)
    captions = tf.constant(["a ball", "snow"])
    np.testing.assert_allclose(*(encoder.encode_captions(captions) for encoder in encoders), atol=1e-4)

    again = command("eval.train_dual_encoder", *_arguments(images, killed))
    output, log = again.communicate()
    assert again.returncode == 0, log
    assert output.startswith("nothing to do, already trained: ")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "error: --output is missing"),
        (["--output=x"], "error: name what to train on with either --pictures or --dataset"),
        (["--output=x", "--dataset=scenes", "--pictures=y"], "error: name what to train on with either"),
        (["--output=x", "--dataset=scenes", "--captions=y"], "error: --captions belongs to --pictures"),
    ],
)
def test_a_wrong_command_line_is_refused(command, arguments, message):
    process = command("eval.train_dual_encoder", *arguments)
    _, log = process.communicate()
    assert process.returncode == 2
    assert log.startswith(message)
    assert len(log.splitlines()) == 1
