"""The BERT that comes with the package is copied to the dataset's folder, and not trained there."""

import pytest

from data_pipelines import packaged_networks, prepare
from data_pipelines.scenes import bert
from xmcgan import handles


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """The folder of a packaged model `scenes`, and no BERT can be trained."""
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setattr(handles, "_PRETRAINED_FOLDER", str(models))

    def trained(*args, **kwargs):
        raise AssertionError("was trained")

    monkeypatch.setattr(bert, "build", trained)
    return models / "scenes"


def _write(path, text):
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_the_small_bert_of_the_package(packaged, tmp_path):
    _write(packaged / "bert" / bert.REPORT, "{}")
    assert prepare.prepare_text_model(tmp_path / "data")
    assert bert.is_built(str(tmp_path / "data" / "scenes" / "bert"))
    assert not prepare.prepare_text_model(tmp_path / "data")


def test_nothing_is_copied_over_something_else(packaged, tmp_path):
    _write(packaged / "bert" / bert.REPORT, "{}")
    _write(tmp_path / "data" / "scenes" / "bert" / "notes.txt", "mine")
    with pytest.raises(FileExistsError, match="bert exists and is not empty"):
        packaged_networks.copy("scenes:bert", tmp_path / "data")
    assert not packaged_networks.copy("birds:bert", tmp_path / "data")
    assert handles.packaged("https://tfhub.dev/tensorflow/bert") is None
