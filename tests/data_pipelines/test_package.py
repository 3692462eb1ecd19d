"""What users import from the package itself."""

from __future__ import annotations

import pytest

import data_pipelines
from tests.support.processes import finish, start_python


def test_names_are_offered():
    assert set(data_pipelines.__all__) <= set(dir(data_pipelines))
    for name in data_pipelines.__all__:
        assert callable(getattr(data_pipelines, name))
    with pytest.raises(AttributeError, match="module 'data_pipelines' has no attribute 'nothing'"):
        _ = data_pipelines.nothing


def test_tensorflow_is_loaded_only_when_a_name_asks_for_it():
    finish(start_python("-c", "import sys, data_pipelines.datasets; assert 'tensorflow' not in sys.modules"))
