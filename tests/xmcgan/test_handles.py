import pytest

from data_pipelines.datasets import preset
from xmcgan import handles
from xmcgan.config import Config


@pytest.mark.parametrize(
    "handle, resolved",
    [
        ("scenes:bert/encoder", "records/scenes/bert/encoder"),
        ("birds:encoder", "records/birds/encoder"),
        ("https://tfhub.dev/tensorflow/bert/4", "https://tfhub.dev/tensorflow/bert/4"),
        ("gs://bucket/bert", "gs://bucket/bert"),
        ("/models/bert", "/models/bert"),
        ("models/bert:v2", "models/bert:v2"),
        ("C:/models/bert", "C:/models/bert"),
        ("", ""),
    ],
)
def test_handles(handle, resolved):
    assert handles.resolve(handle, "records") == resolved
    assert handles.is_prepared(handle) == (handle != resolved)
    assert handles.name_of(resolved, "records") == handle


def test_the_folders_of_this_package():
    assert handles.is_of_package(handles.pretrained_folder("scenes"))
    assert not handles.is_of_package("runs/scenes")


def test_text_handles():
    assert handles.resolve_text(preset("scenes").text, "records") == (
        "records/scenes/bert/preprocessor",
        "records/scenes/bert/encoder",
    )
    published = preset("coco2014").text
    assert handles.resolve_text(published, "records") == (published.preprocessor, published.encoder)


@pytest.mark.parametrize("field", ["text.encoder", "image_encoder.weights", "evaluation.detector"])
@pytest.mark.parametrize("address", ["https://example.com/bert", "http://tfhub.dev/tensorflow/x", "gs://bucket/bert"])
def test_a_run_names_unknown_addresses_only_if_allowed(field, address, monkeypatch):
    config = Config().with_fields({field: address})
    with pytest.raises(ValueError, match=rf"^c\.json: config\.{field}='{address}' .* pass --allow_addresses$"):
        handles.check_addresses(config, "c.json")
    handles.check_addresses(Config(), "c.json")
    monkeypatch.setattr(handles, "_addresses_are_allowed", False)  # So that it is put back.
    handles.allow_addresses()
    handles.check_addresses(config, "c.json")


def test_models_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(handles, "_PRETRAINED_FOLDER", str(tmp_path / "pretrained"))
    assert handles.pretrained_models() == []
    with pytest.raises(FileNotFoundError, match=r"^no model 'pretrained:a' .* \(it has none\): train one with"):
        handles.resolve_run("pretrained:a")
    (tmp_path / "pretrained" / "a" / "bert").mkdir(parents=True)
    assert handles.pretrained_models() == ["a"]
    assert handles.resolve_run("pretrained:a") == str(tmp_path / "pretrained" / "a")
    assert handles.resolve("pretrained:a/bert", "records") == str(tmp_path / "pretrained" / "a" / "bert")
    assert handles.resolve_run("runs/a") == "runs/a"
