"""Which Keras TensorFlow takes."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest
import tensorflow as tf
from tensorflow.python.autograph.core import config
from tensorflow.python.autograph.impl import conversion

from tests.support.processes import ROOT
from xmcgan import stack

REFUSAL = (
    "xmcgan needs Keras 2, but TensorFlow uses Keras 3.9.0 already: import xmcgan before anything that uses tf.keras, "
    "or set the environment variable TF_USE_LEGACY_KERAS=1"
)


def _run(code: str) -> subprocess.CompletedProcess:
    """Runs Python code, as if the environment said nothing about Keras."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_keras_2_is_a_package_of_its_own():
    assert tf.keras.layers.Layer.__module__.startswith("tf_keras.")


@pytest.mark.parametrize("package", ["xmcgan", "data_pipelines", "eval", "experiments"])
def test_each_package_chooses_keras_2_without_loading_tensorflow(package):
    code = f"import os, sys, {package}; print(os.environ['TF_USE_LEGACY_KERAS'], 'tensorflow' in sys.modules)"
    assert _run(code).stdout == "1 False\n"


def test_another_keras_that_is_in_use_is_one_clear_line(monkeypatch):
    keras_3 = types.SimpleNamespace(__version__="3.9.0")
    monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(keras=keras_3))
    with pytest.raises(ImportError) as error:
        stack.choose_keras_2()
    assert str(error.value) == REFUSAL


def test_autograph_leaves_keras_as_it_is():
    for _ in range(2):
        stack.keep_autograph_off_keras()
    assert conversion.is_allowlisted(tf.keras.layers.Layer.__call__)
    assert len({str(rule) for rule in config.CONVERSION_RULES}) == len(config.CONVERSION_RULES)


@pytest.mark.slow
@pytest.mark.parametrize("use", ["tf", "tf.keras.Model"])
def test_tensorflow_imported_first(use):
    result = _run(f"import tensorflow as tf; {use}; import xmcgan; print(tf.keras.Model)")
    if use != "tf" and not tf.__version__.startswith("2.15."):
        assert "ImportError: xmcgan needs Keras 2" in result.stderr.splitlines()[-1]
    else:
        assert "keras.src.engine.training.Model" in result.stdout, result.stderr
