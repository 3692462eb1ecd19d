"""The strategy: which devices train, and whether they can share the batch."""

from __future__ import annotations

import tensorflow as tf

from xmcgan.replicas import gather, num_replicas, replica_rows, sum_over_replicas

__all__ = ["check_divides", "create_strategy", "gather", "num_replicas", "replica_rows", "sum_over_replicas"]


def create_strategy() -> tf.distribute.Strategy:
    """All GPUs of this machine, or its CPU."""
    return tf.distribute.MirroredStrategy()


def check_divides(batch_size: int, replicas: int) -> None:
    """Refuses a global batch that the replicas cannot share evenly.

    Raises:
      ValueError: names the nearest batch sizes that can be shared.
    """
    if batch_size % replicas:
        below = batch_size // replicas * replicas
        near = f"{below} or {below + replicas}" if below else f"{replicas}"
        raise ValueError(
            f"config.training.batch_size={batch_size} does not divide over {replicas} replicas: set it to {near}"
        )
