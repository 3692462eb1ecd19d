"""Tests of the flags that name a trained model."""

import pytest
from absl import app, flags

from xmcgan import handles, model_flags


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The folder of the package's models, which has none yet."""
    monkeypatch.setattr(handles, "_PRETRAINED_FOLDER", str(tmp_path))
    return tmp_path


def _run_of(monkeypatch, **given):
    values = flags.FlagValues()
    for name in ("workdir", "export", "pretrained"):
        flags.DEFINE_string(name, given.get(name), "", flag_values=values)
    values(["command"])
    monkeypatch.setattr(model_flags, "FLAGS", values)
    return model_flags.get_run()


def test_a_command_takes_one_model(installed, monkeypatch):
    assert _run_of(monkeypatch, workdir="a") == "a"
    assert _run_of(monkeypatch, export="a") is None
    assert _run_of(monkeypatch, pretrained="a") == "pretrained:a"
    for given in ({}, {"workdir": "a", "export": "b"}, {"workdir": "a", "pretrained": "b"}):
        with pytest.raises(app.UsageError, match=r"^give one model: --workdir=RUN or --export=FOLDER$"):
            _run_of(monkeypatch, **given)


def test_the_default_is_the_model_of_the_package(installed, monkeypatch):
    with pytest.raises(app.UsageError, match="give models as --model=NAME=FOLDER"):
        model_flags.named_folders([])
    (installed / "scenes").mkdir()
    assert _run_of(monkeypatch) == "pretrained:scenes"
    assert model_flags.named_folders([]) == {"scenes": "pretrained:scenes"}
    assert model_flags.named_folders(["a=b"]) == {"a": "b"}
    with pytest.raises(app.UsageError, match=r"--workdir=RUN or --export=FOLDER or --pretrained=NAME$"):
        _run_of(monkeypatch, workdir="a", pretrained="b")
