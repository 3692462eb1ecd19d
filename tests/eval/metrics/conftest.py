"""TensorFlow GAN, whose metrics are an independent truth, where it is installed."""

from __future__ import annotations

import types

import pytest


@pytest.fixture(scope="session")
def tfgan() -> types.ModuleType:
    return pytest.importorskip("tensorflow_gan", reason="TensorFlow GAN runs on TensorFlow 2.15 only")
