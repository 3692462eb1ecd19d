"""Tests that our models, losses and updates agree with the numbers recorded from the public JAX release."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from experiments.checks import parity
from xmcgan.losses.contrastive import cosine_scores, hinge_discriminator_loss, hinge_generator_loss, info_nce
from xmcgan.losses.word_scores import word_region_scores
from xmcgan.models.attention import attend_to_words

DATA = pathlib.Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def losses():
    return parity.load(DATA / "losses.npz")


@pytest.mark.parametrize("name", ["model_128.npz", "trainstep_128.npz"])
def test_recorded_file_agrees(name, capsys):
    report = parity.check_file(str(DATA / name))
    assert report.passed, capsys.readouterr().out
    assert capsys.readouterr().out.splitlines()[-1].startswith("max ")


@pytest.mark.slow  # Computes all of it once more.
def test_a_wrong_number_fails_the_check(tmp_path):
    arrays = parity.load(DATA / "model_128.npz")
    arrays["g/params/GenBlock_0/Conv_1/kernel"] = 1.01 * arrays["g/params/GenBlock_0/Conv_1/kernel"]
    np.savez(tmp_path / "model.npz", **arrays)
    assert not parity.check_file(str(tmp_path / "model.npz")).passed


def test_a_file_of_another_kind_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="not numbers recorded for this check"):
        parity.check_file(str(tmp_path / "other.npz"))
    with pytest.raises(FileNotFoundError, match=r"no recorded numbers at .*missing\.npz"):
        parity.check_file(str(tmp_path / "missing.npz"))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY"])
def test_what_is_not_npz_is_refused(content, tmp_path):
    (tmp_path / "odd.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"odd\.npz is not an \.npz file, or is damaged"):
        parity.check_file(str(tmp_path / "odd.npz"))


def test_contrastive_loss(losses):
    images, conditions = (tf.constant(losses[f"c/{name}"]) for name in ("image_feat", "cond_feat"))
    with tf.GradientTape() as tape:
        tape.watch([images, conditions])
        result = info_nce(cosine_scores(images, conditions), temperature=0.1, both_directions=True)
    d_images, d_conditions = tape.gradient(result.loss, [images, conditions])
    np.testing.assert_allclose(result.loss, losses["c/loss"], rtol=1e-6)
    np.testing.assert_allclose(result.accuracy, losses["c/acc"], rtol=1e-6)
    np.testing.assert_allclose(result.entropy, losses["c/entropy"], rtol=1e-6)
    np.testing.assert_allclose(d_images, losses["c/d_image"], atol=1e-5 * np.abs(losses["c/d_image"]).max())
    np.testing.assert_allclose(d_conditions, losses["c/d_cond"], atol=1e-5 * np.abs(losses["c/d_cond"]).max())


def test_contrastive_loss_of_near_matches(losses):
    scores = cosine_scores(tf.constant(losses["c/image_feat"]), tf.constant(losses["c2/cond_feat"]))
    result = info_nce(scores, temperature=0.1, both_directions=True)
    np.testing.assert_allclose(result.loss, losses["c2/loss"], rtol=1e-4)
    np.testing.assert_allclose(result.accuracy, losses["c2/acc"], rtol=1e-6)
    np.testing.assert_allclose(result.entropy, losses["c2/entropy"], rtol=1e-4)


@pytest.mark.parametrize("case", ["w256", "w64"])
def test_word_loss(losses, case):
    regions, words = tf.constant(losses[f"{case}/region"]), tf.constant(losses[f"{case}/word"])
    lengths = tf.constant(losses["max_len"][:, 0], tf.int32)
    with tf.GradientTape() as tape:
        tape.watch(regions)
        scores = word_region_scores(regions, words, lengths, rho_1=5.0, rho_2=5.0, normalize_context=True)
        result = info_nce(scores, temperature=0.02, both_directions=True)
    gradient, expected = tape.gradient(result.loss, regions), losses[f"{case}/d_region"]
    np.testing.assert_allclose(result.loss, losses[f"{case}/loss"], rtol=1e-5)
    np.testing.assert_allclose(result.accuracy, losses[f"{case}/acc"], rtol=1e-6)
    np.testing.assert_allclose(result.entropy, losses[f"{case}/entropy"], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("case", ["w256", "w64"])
def test_attention_of_the_generator(losses, case):
    context, attention = attend_to_words(
        tf.constant(losses[f"{case}/region"]),
        tf.constant(losses[f"{case}/word"]),
        tf.constant(losses["max_len"][:, 0], tf.int32),
        rho_0=15.0,
        normalize_context=True,
    )
    np.testing.assert_allclose(context, losses[f"{case}/attg_context"], atol=1e-5)
    np.testing.assert_allclose(attention, losses[f"{case}/attg_attn"], atol=1e-5)


def test_hinge_losses(losses):
    real, fake = tf.constant(losses["h/real"]), tf.constant(losses["h/fake"])
    np.testing.assert_allclose(hinge_discriminator_loss(real, fake), losses["h/d_loss"], rtol=1e-6)
    np.testing.assert_allclose(hinge_generator_loss(fake), losses["h/g_loss"], rtol=1e-6)
