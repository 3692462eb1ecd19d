"""Tests of models that are part of the package, made from a run with random weights."""

import os
import shutil

import numpy as np
import pytest

from data_pipelines import prepare
from eval import results
from eval.score import Score
from tests.support.command_modules import load
from xmcgan import handles
from xmcgan.text_to_image import TextToImage
from xmcgan.training.workdir import read_config

pretrained = load("experiments.pretrained")

CAPTIONS, SEEDS = ["a red ball on the beach", "a blue star"], [3, 4]


@pytest.fixture(scope="module")
def folder(drawing_run, scenes_dir, tmp_path_factory):
    """A folder of pretrained models with one, `ball`."""
    models = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handles, "_PRETRAINED_FOLDER", str(models))
        written = pretrained.package(str(drawing_run), "ball", str(scenes_dir), half=False, num_images=4)
        assert (written.step, written.change) == (12, 0)
        assert written.size == sum(path.stat().st_size for path in models.rglob("*") if path.is_file())
        yield models


@pytest.fixture
def loaded(of_run, monkeypatch):
    """The run is not loaded again to be packaged. What is packaged without loss draws the same afterwards."""
    monkeypatch.setattr(TextToImage, "from_run", staticmethod(lambda *_: of_run))


def test_it_draws_without_data(folder, of_run, tmp_path):
    expected = of_run(CAPTIONS, SEEDS)
    model = TextToImage.load("pretrained:ball", str(tmp_path / "no_data"))
    assert model.name == "ball, step 12"
    assert np.ptp(expected) > 100
    np.testing.assert_array_equal(model(CAPTIONS, SEEDS), expected)


def test_it_is_complete(folder):
    names = sorted(os.listdir(folder / "ball"))
    assert names == ["README.md", "bert", "checkpoints", "config.json"]
    config = read_config(handles.resolve_run("pretrained:ball"))
    assert config.text.encoder == "pretrained:ball/bert/encoder"
    assert handles.resolve(config.text.encoder, "data") == str(folder / "ball" / "bert" / "encoder")
    card = (folder / "ball" / "README.md").read_text()
    assert "after 12 steps (24 images)" in card
    assert "--config.generator.channels=2" in card
    assert "--pretrained=ball" in card
    assert handles.pretrained_models() == ["ball"]


def test_a_model_called_as_its_dataset_brings_its_text_encoder(drawing_run, scenes_dir, loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(handles, "_PRETRAINED_FOLDER", str(tmp_path / "models"))
    pretrained.package(str(drawing_run), "scenes", str(scenes_dir), half=False, num_images=1)
    assert prepare.prepare_text_model(tmp_path / "other")
    assert (tmp_path / "other" / "scenes" / "bert" / "encoder" / "saved_model.pb").exists()


def test_a_packaged_result_does_not_say_where_networks_were(drawing_run, scenes_dir, loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(handles, "_PRETRAINED_FOLDER", str(tmp_path / "models"))
    run = tmp_path / "run"
    shutil.copytree(drawing_run, run)
    details = {"weights": {"detector": "/home/me/detector"}, "seconds": 3}
    scores = [Score("FD/scenes", 8.0, None, "lower", "")]
    results.write(str(run / "eval" / "12.json"), results.Result(scores, [], {"run": "run", "step": 12}, {}, details))
    pretrained.package(str(run), "ball", str(scenes_dir), half=False, num_images=1)
    kept = results.read(str(tmp_path / "models" / "ball" / "eval" / "12.json"))
    assert kept.scores == scores and kept.details == {"seconds": 3}


def test_too_coarse_weights_are_refused(drawing_run, scenes_dir, loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(handles, "_PRETRAINED_FOLDER", str(tmp_path))
    monkeypatch.setattr(pretrained, "_largest_change", lambda *args: 2)
    with pytest.raises(ValueError, match=r"16 bits change an image of .* by 2 of 255 levels, .* --nohalf_weights"):
        pretrained.package(str(drawing_run), "ball", str(scenes_dir), num_images=1)
    assert not os.listdir(tmp_path)


def test_an_unknown_model_is_refused(folder):
    with pytest.raises(FileNotFoundError, match=r"no model 'pretrained:cube' in this installation \(it has ball\)"):
        TextToImage.load("pretrained:cube")
