"""Saves the training loop's batches on two replicas, for `test_shared_batches`; each worker is a separate process.

  python -m tests.support.shared_batches DATA_DIR OUTPUT.npz

If TF_CONFIG is in the environment, this process is one worker of a cluster. OUTPUT has, for each field and each batch,
the rows of this process's replicas in order.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import tensorflow as tf

from data_pipelines.datasets import preset
from data_pipelines.training_data import TrainingData
from xmcgan.config import Config

BATCHES, BATCH, FIRST_STEP = 20, 8, 3


class Letters:
    """A replacement for the text encoder, whose only feature is a caption's number of bytes."""

    @staticmethod
    def tokenize(captions: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"length": tf.strings.length(captions)}


def experiment() -> Config:
    config = preset("scenes")
    config.training.batch_size = BATCH
    config.data.random_flip = True
    return config


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    batches = iter(TrainingData(experiment(), sys.argv[1]).batches(strategy, Letters, FIRST_STEP))
    rows = {"image": [], "length": []}
    for _ in range(BATCHES):
        batch = next(batches)
        for name, field_rows in rows.items():
            field_rows.append(np.concatenate(strategy.experimental_local_results(batch[name])))
    np.savez(sys.argv[2], **rows)
    # Wait for the other workers: the cluster fails if the first one ends early.
    strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.ones([])), axis=None)


if __name__ == "__main__":
    main()
