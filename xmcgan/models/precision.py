"""Mixed precision: activations in 16 bits, everything that sums up or divides in 32.

Weights stay in 32 bits, unless a trained network is to be small. So do batch statistics, attention, spectral norms,
features, losses and Adam: each of these rooms casts for itself with `at_least_float32`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextlib.contextmanager
def activations_in(precision: str, weights: bool = False) -> Iterator[None]:
    """Layers made within compute in this precision.

    Args:
      precision: 'bfloat16', 'float16', or 'float32': whatever Keras' own setting is.
      weights: they hold their weights in it, too: for inference.
    """
    if precision not in _POLICIES:
        yield
        return
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(precision if weights else _POLICIES[precision])
    try:
        yield
    finally:
        # None: that of tf.keras.backend.floatx(), also when it is set later.
        follows_floatx = before.name == tf.keras.backend.floatx()
        tf.keras.mixed_precision.set_global_policy(None if follows_floatx else before)


def at_least_float32(x: tf.Tensor) -> tf.Tensor:
    """16 bits -> float32; float32 and float64 stay."""
    return tf.cast(x, tf.float32) if x.dtype.size < 4 else x
