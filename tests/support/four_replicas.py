"""Computes means over groups of four replicas, for `test_replicas`.

  python -m tests.support.four_replicas OUTPUT.npz

It runs in its own process because logical devices must be set up before TensorFlow starts. OUTPUT has 'value/n' and
'gradient/n' for groups of n replicas, with one row for each replica.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

from xmcgan.replicas import group_mean

REPLICAS = 4
GROUPS = (0, 1, 2, 4)


def inputs() -> np.ndarray:
    """Returns each replica's input and the weights of its loss: [2, replicas, 3, 5]."""
    return np.random.default_rng(0).normal(size=[2, REPLICAS, 3, 5])


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * REPLICAS)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(REPLICAS)])

    def mean_and_gradient(size: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the group mean, and the gradient of the sum of all replicas' losses, `weights * mean ** 3`."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        x, weights = (tf.constant(array)[replica] for array in inputs())
        with tf.GradientTape() as tape:
            tape.watch(x)
            mean = group_mean(x, size)
            assert mean.shape == x.shape
            loss = tf.reduce_sum(weights * mean**3)
        return mean, tape.gradient(loss, x)

    arrays = {}
    for size in GROUPS:
        results = tf.function(lambda size=size: strategy.run(mean_and_gradient, args=(size,)))()
        for name, values in zip(("value", "gradient"), results):
            arrays[f"{name}/{size}"] = np.stack(strategy.experimental_local_results(values))
    np.savez(sys.argv[1], **arrays)


if __name__ == "__main__":
    main()
