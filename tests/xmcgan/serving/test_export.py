"""Exports as their users have them: in a process of their own, by TensorFlow's tools, and wrongly."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.support.processes import ROOT, finish
from xmcgan.text_to_image import TextToImage

CAPTIONS = ["a red ball on the beach", "two small trees at night", "the sea", "a brick", "a blue heart in the snow"]
# As in TensorFlow's tool, which cannot register TF Text's operations by itself.
_CLI = "import tensorflow_text; from tensorflow.python.tools import saved_model_cli; saved_model_cli.main()"


def _levels(a, b) -> int:
    """The largest difference, in levels of 255."""
    assert a.shape == b.shape
    return np.max(np.abs(np.asarray(a, int) - np.asarray(b, int)), initial=0)


def _cli(*arguments: str, cwd: os.PathLike) -> str:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, "-I", "-c", _CLI, *arguments],
        cwd=cwd,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    ).stdout


def test_a_strangers_process_draws_the_same(export_dir, exported, tmp_path):
    program = ROOT / "tests/support/stranger.py"
    subprocess.run(
        [sys.executable, "-I", program, export_dir / "1", tmp_path / "drawn.npz"], cwd=tmp_path, check=True, timeout=300
    )
    expected = exported([caption for caption in CAPTIONS[:2] for _ in range(2)], [0, 1, 0, 1])
    assert np.ptp(expected) > 100 and _levels(expected[0], expected[1]) > 10
    drawn = np.load(tmp_path / "drawn.npz")
    for name in ("serving_default", "png", "from_noise", "attention_images", "mixed", "called"):
        assert _levels(drawn[name], expected) <= 1, name
    for name in ("called_without_seed", "without_seed", "png_without_seed"):
        assert _levels(drawn[name], expected[::2]) <= 1, name
    assert drawn["words"][0, 0] == "[CLS]" and "[SEP]" in drawn["words"][0]
    # Each region looks at the words of its caption, and at nothing behind them.
    np.testing.assert_allclose(drawn["attention"].sum(axis=-1), 1.0, rtol=1e-5)
    looked = np.any(drawn["attention"] > 0, axis=(1, 2))
    np.testing.assert_array_equal(looked, drawn["words"] != "")


def test_the_signatures_as_tensorflows_tool_prints_them(export_dir, command):
    tool = "tensorflow.python.tools.saved_model_cli"
    printed = finish(command(tool, "show", "--dir", export_dir / "1", "--all"))
    found = {}
    for name, body in re.findall(r"signature_def\['(\w+)'\]:(.*?)Method name", printed, re.DOTALL):
        entry = r"(in|out)puts\['(\w+)'\] tensor_info:\s+dtype: (\w+)\s+shape: (.*)"
        found[name] = {(way, tensor): (dtype, shape) for way, tensor, dtype, shape in re.findall(entry, body)}
    captions, images = ("DT_STRING", "(-1)"), ("DT_UINT8", "(-1, 64, 64, 3)")
    seed, z = ("DT_INT64", "unknown_rank"), ("DT_FLOAT", "(-1, 32)")
    inputs = {("in", "captions"): captions}
    assert found["serving_default"] == {**inputs, ("in", "seed"): seed, ("out", "images"): images}
    assert found["png"] == {**inputs, ("in", "seed"): seed, ("out", "png_bytes"): ("DT_STRING", "(-1)")}
    assert found["without_seed"] == {**inputs, ("out", "images"): images}
    assert found["png_without_seed"] == {**inputs, ("out", "png_bytes"): ("DT_STRING", "(-1)")}
    assert found["from_noise"] == {**inputs, ("in", "z"): z, ("out", "images"): images}
    assert found["attention"] == {
        **inputs,
        ("in", "z"): z,
        ("out", "images"): images,
        ("out", "attention"): ("DT_FLOAT", "(-1, 16, 16, 17)"),
        ("out", "words"): ("DT_STRING", "(-1, 17)"),
    }
    assert found["mixed"] == {
        **inputs,
        ("in", "other_captions"): captions,
        ("in", "share"): ("DT_FLOAT", "(-1)"),
        ("in", "z"): z,
        ("out", "images"): images,
    }
    assert found["tokens"] == {
        **inputs,
        ("out", "words"): ("DT_STRING", "(-1, 17)"),
        ("out", "cut"): ("DT_BOOL", "(-1)"),
    }
    assert found["noise"] == {("in", "seed"): ("DT_INT64", "(-1)"), ("out", "z"): z}


@pytest.mark.slow  # In this process: above. Of a run: tests/xmcgan/training/test_loop.py.
def test_the_command_draws_an_export(export_dir, exported, command, tmp_path):
    asked = [*(f"--caption={caption}" for caption in CAPTIONS[:2]), "--num_noise=2"]
    sample = command("xmcgan.sample", f"--export={export_dir}", *asked, f"--output={tmp_path}")
    assert "4 images of 2 captions" in finish(sample)
    files = [f"caption_{row:04d}_seed_{seed}.png" for row in range(2) for seed in range(2)]
    sampled = np.stack([np.array(Image.open(tmp_path / file)) for file in files])
    assert _levels(sampled, exported([CAPTIONS[0]] * 2 + [CAPTIONS[1]] * 2, [0, 1, 0, 1])) <= 1


@pytest.mark.slow
def test_tensorflows_tool_runs_it(export_dir, exported, tmp_path):
    inputs = f'captions=["{CAPTIONS[0]}"];seed=[7]'
    where = ["--dir", str(export_dir / "1"), "--tag_set", "serve", "--signature_def", "serving_default"]
    _cli("run", *where, "--input_exprs", inputs, "--outdir", str(tmp_path), cwd=tmp_path)
    assert _levels(np.load(tmp_path / "images.npy"), exported(CAPTIONS[:1], [7])) <= 1


def test_a_image_is_the_same_in_every_batch(exported):
    captions, seeds = CAPTIONS + CAPTIONS[::-1], list(range(10))
    together = exported(captions, seeds)  # More than are worked on at once.
    for i, (caption, seed) in enumerate(zip(captions, seeds)):
        assert _levels(exported([caption], [seed])[0], together[i]) <= 1
    assert _levels(exported(captions[::-1], seeds[::-1])[::-1], together) <= 1


def test_an_empty_batch(exported):
    assert exported([], []).shape == (0, 64, 64, 3)
    assert exported.from_noise([], np.zeros([0, 32])).shape == (0, 64, 64, 3)
    assert exported.mixed([], [], [], np.zeros([0, 32])).shape == (0, 64, 64, 3)
    assert exported.attention([], np.zeros([0, 32])).attention.shape == (0, 16, 16, 17)
    assert exported.noise([]).shape == (0, 32)
    png = exported._functions["png"](captions=tf.zeros([0], tf.string), seed=tf.constant(0, tf.int64))
    assert png["png_bytes"].shape == [0]


def test_a_large_batch_and_a_long_caption(exported):
    drawn = exported([CAPTIONS[i % 5] for i in range(500)], range(500))
    assert _levels(drawn[250], exported([CAPTIONS[0]], [250])[0]) <= 1
    words = " ".join(["a", "red", "ball", "on", "the", "beach"] * 2000)
    start = " ".join(words.split()[:15])  # Every one is known, or of several pieces: what follows is cut in any case.
    assert _levels(exported([words], [3]), exported([start], [3])) <= 1
    assert exported([""], [0]).shape == (1, 64, 64, 3)


def test_what_is_read_of_a_caption(exported):
    short, long = exported.tokens([CAPTIONS[0], " ".join(["ball"] * 30)])
    assert short.words[0] == "[CLS]" and short.words[-1] == "[SEP]" and not short.is_cut
    assert len(long.words) == 17 and long.is_cut
    assert exported.tokens([]) == []


def test_one_seed_for_all(exported):
    images = exported._functions["serving_default"](captions=tf.constant(CAPTIONS), seed=tf.constant(4, tf.int64))
    assert _levels(images["images"].numpy(), exported(CAPTIONS, [4] * 5)) <= 1


def test_mixed_goes_from_one_to_the_other(exported):
    z = exported.noise([5])
    first, second = exported.from_noise(CAPTIONS[:2], np.repeat(z, 2, axis=0))
    shares = np.linspace(0, 1, 9)
    way = exported.mixed([CAPTIONS[0]] * 9, [CAPTIONS[1]] * 9, shares, np.repeat(z, 9, axis=0)).astype(int)
    assert _levels(way[0], first) <= 1 and _levels(way[-1], second) <= 1
    whole = np.mean(np.abs(way[-1] - way[0]))
    steps = np.mean(np.abs(np.diff(way, axis=0)), axis=(1, 2, 3))
    assert whole > 1 and max(steps) < 0.5 * whole  # No jump.


def _noise(number: float) -> np.ndarray:
    z = np.zeros([1, 32], np.float32)
    z[0, 3] = number
    return z


@pytest.mark.parametrize(
    "signature, inputs, message",
    [
        ("serving_default", {"captions": [1], "seed": 0}, "string"),
        ("serving_default", {"captions": "a ball", "seed": 0}, "captions"),
        ("serving_default", {"captions": [["a", "ball"]], "seed": 0}, "captions"),
        ("serving_default", {"captions": ["a", "b"], "seed": [1, 2, 3]}, "seed: give one for all captions, or one"),
        ("serving_default", {"captions": ["a"], "seed": 0.5}, "int64"),
        ("from_noise", {"captions": ["a"], "z": np.zeros([1, 31], np.float32)}, r"z \[1,31\]"),
        ("from_noise", {"captions": ["a"], "z": np.zeros([32], np.float32)}, r"z \[32\]"),
        ("from_noise", {"captions": ["a"], "z": np.zeros([2, 32], np.float32)}, "z: give one for each caption"),
        *(
            (
                "mixed",
                {"captions": ["a"], "other_captions": ["b"], "share": [share], "z": _noise(0.0)},
                "share: give num",
            )
            for share in (1.5, -0.1, float("nan"), float("inf"))
        ),
        *(
            (signature, {"captions": ["a"], **others, "z": _noise(number)}, "z: give finite numbers from -1000 to 1000")
            for number in (float("nan"), float("inf"), -float("inf"), 1e30)
            for signature, others in (
                ("from_noise", {}),
                ("attention", {}),
                ("mixed", {"other_captions": ["b"], "share": [0.5]}),
            )
        ),
    ],
)
def test_a_bad_request_says_why_and_the_next_one_is_served(signature, inputs, message, exported):
    before = exported(CAPTIONS[:1], [1])
    tensors = {
        name: tf.constant(value, tf.int64 if name == "seed" and value != 0.5 else None)
        for name, value in inputs.items()
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        exported._functions[signature](**tensors)
    np.testing.assert_array_equal(exported(CAPTIONS[:1], [1]), before)


def test_bytes_that_are_no_text(exported):
    captions = tf.constant([b"\xff\xfe a ball \x80", b"\x00", "emoji 🎈 and 字".encode()])
    images = exported._functions["serving_default"](captions=captions, seed=tf.constant(0, tf.int64))["images"]
    assert images.shape == [3, 64, 64, 3]


def test_sixteen_threads_get_their_own(exported):
    expected = exported(CAPTIONS, range(5))

    def ask(thread: int) -> bool:
        for call in range(6):
            i = (thread + call) % 5
            if _levels(exported([CAPTIONS[i]], [i])[0], expected[i]) > 1:
                return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(16)))


@pytest.mark.slow  # Precisions: test_inference_weights; versions: test_versions; the card: test_model_card.
def test_the_next_version_and_its_card(drawing_run, scenes_dir, export_dir, exported, command, tmp_path):
    folder = tmp_path / "numbered"
    shutil.copytree(export_dir, folder)
    arguments = [f"--workdir={drawing_run}", f"--data_dir={scenes_dir}", f"--output={folder}"]
    process = command("xmcgan.export", *arguments, "--precision=bfloat16", "--nofold_statistics")
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "numbered/2 (" in output
    assert sorted(os.listdir(folder)) == ["1", "2"]
    card = (folder / "2" / "README.md").read_text()
    facts = ("# numbered, version 2", "12 steps", "Generator in bfloat16;", "`generator.channels` | 2", "Not measured")
    for fact in facts:
        assert fact in card
    assert json.loads((folder / "2" / "config.json").read_text())["dataset"] == "scenes"
    second = TextToImage.from_export(str(folder))
    assert second.name == "numbered/2"
    assert np.mean(np.abs(second(CAPTIONS, range(5)).astype(int) - exported(CAPTIONS, range(5)))) < 5


def test_what_the_card_shows_to_do_works(export_dir, exported, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (export_dir / "1" / "README.md").read_text(), re.DOTALL)[1]
    monkeypatch.chdir(export_dir)
    names = {}
    exec(code, names)
    assert _levels(names["images"].numpy(), exported(["a red ball on the beach"], [7])) <= 1


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["--output=x", "--workdir=a", "--pretrained=b"], 2, "give one model: --workdir=RUN or --pretrained=NAME (see"),
        (["--output={tmp}/x", "--pretrained=dogs"], 1, "no model 'pretrained:dogs' in this installation"),
        (["--workdir=nowhere"], 2, "--output is missing"),
        (["--workdir={run}", "--output=gs://models/x"], 2, "give a path on this machine"),
        (["--workdir={run}", "--output={tmp}/x", "--checkpoint=7"], 1, "no checkpoint of step 7"),
        (["--workdir={run}", "--output={run}"], 1, "which is not a version of a model"),
    ],
)
def test_a_wrong_command_says_why(arguments, status, message, drawing_run, tmp_path, command):
    process = command("xmcgan.export", *(each.format(tmp=tmp_path, run=drawing_run) for each in arguments))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == status
    assert message in errors and len(errors.strip().splitlines()[-1]) > 0 and "Traceback" not in errors
    assert not (tmp_path / "x").exists() or os.listdir(tmp_path / "x") == []
