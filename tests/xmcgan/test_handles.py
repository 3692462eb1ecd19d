import pytest

from data_pipelines.datasets import preset
from xmcgan import handles


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


def test_text_handles():
    assert handles.resolve_text(preset("scenes").text, "records") == (
        "records/scenes/bert/preprocessor",
        "records/scenes/bert/encoder",
    )
    published = preset("coco2014").text
    assert handles.resolve_text(published, "records") == (published.preprocessor, published.encoder)
