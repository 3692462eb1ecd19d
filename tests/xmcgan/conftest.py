"""Fixtures for the tests of the models and of training."""

from __future__ import annotations

import pytest
import tensorflow as tf


@pytest.fixture
def float64():
    """Keras makes layers in double precision, so that finite differences are exact to many digits."""
    before = tf.keras.backend.floatx()
    tf.keras.backend.set_floatx("float64")
    yield
    tf.keras.backend.set_floatx(before)
