"""What a replica asks of the others: how many there are, their rows, their sums and their means.

Everything here is called inside of a replica, does nothing where there is only one, and has exact gradients.
"""

from __future__ import annotations

import tensorflow as tf


def num_replicas() -> int:
    """Replicas in sync, on all machines together; from inside or outside of one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def gather(x: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, in order: [batch / replicas, ...] -> [batch, ...].

    Differentiable: a replica receives the sum of all replicas' gradients with respect to its rows.
    """
    if num_replicas() == 1:
        return x
    gathered = tf.distribute.get_replica_context().all_gather(x, axis=0)
    rows = x.shape[0] and x.shape[0] * num_replicas()
    return tf.ensure_shape(gathered, [rows, *x.shape[1:]])  # In a graph, the gathering forgets the shape.


def sum_over_replicas(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """The sum of each tensor over replicas, on every replica."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensors)


def mean_over_replicas(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """The mean of each tensor over replicas, on every replica."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def replica_rows(global_rows: tf.Tensor) -> tf.Tensor:
    """This replica's share of rows that all replicas computed alike: [batch, ...] -> [batch / replicas, ...]."""
    if num_replicas() == 1:
        return global_rows
    rows = global_rows.shape[0] // num_replicas()
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * rows
    return _rows(global_rows, first, rows)


def group_mean(x: tf.Tensor, replicas_per_group: int) -> tf.Tensor:
    """The mean of x over the replicas of this replica's group; groups are of consecutive replicas.

    For small tensors such as batch statistics: where there is more than one group, all replicas see all of them.
    Differentiable: a replica receives the mean of its group's gradients.

    Args:
      x: of the same shape on every replica, fully known.
      replicas_per_group: 0 for all replicas, 1 for x itself, or a divisor of their number.

    Returns:
      The shape of x.

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
    """Refuses groups of batch normalization that the replicas cannot be put into.

    Args:
      replicas_per_group: as of `group_mean`.
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
    """x[first : first + size], of a shape that is known even if `first` is not: so XLA and a TPU need it."""
    return tf.slice(x, [first, *[0] * (x.shape.rank - 1)], [size, *x.shape[1:]])
