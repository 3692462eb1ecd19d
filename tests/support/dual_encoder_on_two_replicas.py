"""Trains a tiny dual encoder on two replicas, for `test_dual_encoder_training`.

  python -m tests.support.dual_encoder_on_two_replicas DATA_DIR FOLDER

It runs in its own process because logical devices must be set up before TensorFlow starts.
"""

from __future__ import annotations

import os
import sys

import tensorflow as tf

from tests.support import tiny_dual_encoder
from xmcgan.training import cluster


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # It is slow and changes nothing.
    cluster.create_strategy = lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    tiny_dual_encoder.train(data_dir=sys.argv[1], folder=os.path.abspath(sys.argv[2]))


if __name__ == "__main__":
    main()
