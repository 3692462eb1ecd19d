"""Replicas: the strategy, and what a replica asks of the others."""

from __future__ import annotations

import tensorflow as tf


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


def num_replicas() -> int:
    """Replicas in sync, from inside or outside of one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def gather(x: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, in order: [batch / replicas, ...] -> [batch, ...].

    Differentiable: a replica receives the sum of all replicas' gradients with respect to its rows.
    """
    if num_replicas() == 1:
        return x
    gathered = tf.distribute.get_replica_context().all_gather(x, axis=0)
    return tf.ensure_shape(gathered, [None, *x.shape[1:]])  # In a graph, the gathering forgets the shape.


def sum_over_replicas(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """The sum of each tensor over replicas, on every replica."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def replica_rows(global_rows: tf.Tensor) -> tf.Tensor:
    """This replica's share of rows that all replicas computed alike: [batch, ...] -> [batch / replicas, ...]."""
    if num_replicas() == 1:
        return global_rows
    rows = global_rows.shape[0] // num_replicas()
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
    return global_rows[first : first + rows]
