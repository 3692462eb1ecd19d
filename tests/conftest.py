"""What many tests need: a small dataset of scenes with its text model, and commands run as a user runs them."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="session")
def scenes_dir(tmp_path_factory) -> pathlib.Path:
    """A data_dir with a few scenes, converted, and a BERT that has hardly been trained."""
    from data_pipelines import prepare

    data_dir = tmp_path_factory.mktemp("scenes_data")
    prepare.prepare_scenes(data_dir, num_train=60, num_val=20)
    prepare.prepare_text_model(data_dir, steps=2)
    return data_dir


@pytest.fixture(scope="session")
def command():
    """Starts `python -m MODULE ARGUMENTS`; returns the process, its output readable as text."""

    def start(module: str, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
