"""Exchanges between replicas: gathered rows, sums and means.

The functions are called inside a replica, do nothing where there is only one replica, and have exact gradients.
"""

from __future__ import annotations

import tensorflow as tf


def num_replicas() -> int:
    """Returns the number of replicas in sync on all machines; can be called inside or outside a replica."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def gather(x: tf.Tensor) -> tf.Tensor:
    """Gathers the rows of all replicas, in order: [batch / replicas, ...] -> [batch, ...].

    Differentiable: a replica receives the sum of all replicas' gradients with respect to its rows.
    """
    if num_replicas() == 1:
        return x
    gathered = tf.distribute.get_replica_context().all_gather(x, axis=0)
    rows = x.shape[0] and x.shape[0] * num_replicas()
    return tf.ensure_shape(gathered, [rows, *x.shape[1:]])  # In a graph, `all_gather` loses the shape.


def sum_over_replicas(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the sum of each tensor over the replicas, on every replica."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def mean_over_replicas(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the mean of each tensor over the replicas, on every replica."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def replica_rows(global_rows: tf.Tensor) -> tf.Tensor:
    """Returns this replica's rows of a tensor that all replicas have: [batch, ...] -> [batch / replicas, ...]."""
    if num_replicas() == 1:
        return global_rows
    rows = global_rows.shape[0] // num_replicas()
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
    return _rows(global_rows, first, rows)


def group_mean(x: tf.Tensor, replicas_per_group: int) -> tf.Tensor:
    """Returns the mean of x over the replicas of this replica's group; a group consists of consecutive replicas.

    Use it for small tensors such as batch statistics: if there is more than one group, every replica gathers the
    tensors of all groups.
    Differentiable: a replica receives the mean of its group's gradients.

    Args:
      x: of the same static shape on every replica.
      replicas_per_group: 0 for all replicas, 1 for x itself, or a divisor of their number.

    Returns:
      The mean, with the shape of x.

    Raises:
      ValueError: see `check_groups`.
    """
    replicas = num_replicas()
    check_groups(replicas_per_group, replicas)
    if replicas == 1 or replicas_per_group == 1:
        return x
    context = tf.distribute.get_replica_context()
    if replicas_per_group in (0, replicas):
        return context.all_reduce(tf.distribute.ReduceOp.MEAN, x)
    gathered = tf.ensure_shape(context.all_gather(x[tf.newaxis], axis=0), [replicas, *x.shape])
    first = context.replica_id_in_sync_group // replicas_per_group * replicas_per_group
    return tf.reduce_mean(_rows(gathered, first, replicas_per_group), axis=0)


def check_groups(replicas_per_group: int, replicas: int) -> None:
    """Refuses groups for batch normalization that the replicas do not divide into.

    Args:
      replicas_per_group: see `group_mean`.
      replicas: on all machines together.

    Raises:
      ValueError: names the field of the config, and the sizes that are possible.
    """
    if replicas_per_group and replicas % replicas_per_group:
        groups = [str(size) for size in range(2, replicas) if replicas % size == 0]
        possible = ", ".join(["0 (all of them together)", "1 (each alone)", *groups])
        raise ValueError(
            f"generator.batch_norm_replicas={replicas_per_group} does not divide {replicas} replica(s): "
            f"set it to one of {possible}"
        )


def _rows(x: tf.Tensor, first: int | tf.Tensor, size: int) -> tf.Tensor:
    """Returns x[first : first + size], with a static shape even if `first` is a tensor, as XLA and TPUs require."""
    return tf.slice(x, [first, *[0] * (x.shape.rank - 1)], [size, *x.shape[1:]])
