"""Mixed precision: activations in 16 bits, sums and divisions in 32.

Weights stay in 32 bits, unless a trained network is made smaller for inference. So do batch statistics, attention,
spectral norms, features, losses and Adam; each of their modules calls `at_least_float32`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

_POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


@contextlib.contextmanager
def activations_in(precision: str, weights: bool = False) -> Iterator[None]:
    """Makes layers that are created in this context compute in the given precision.

    Args:
      precision: 'bfloat16', 'float16', or 'float32', which keeps Keras' own setting.
      weights: whether the layers' weights have that precision as well; for inference.
    """
    if precision not in _POLICIES:
        yield
        return
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(precision if weights else _POLICIES[precision])
    try:
        yield
    finally:
        # None makes Keras follow tf.keras.backend.floatx(), even if that is set later.
        follows_floatx = before.name == tf.keras.backend.floatx()
        tf.keras.mixed_precision.set_global_policy(None if follows_floatx else before)


def at_least_float32(x: tf.Tensor) -> tf.Tensor:
    """Casts 16-bit tensors to float32; float32 and float64 stay as they are."""
    return tf.cast(x, tf.float32) if x.dtype.size < 4 else x
