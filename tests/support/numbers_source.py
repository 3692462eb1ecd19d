"""A source whose images are numbers, and a measure that squares them; as a script, it runs on two replicas."""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf

from eval.collection import collect
from eval.measures.measure import Measure, Reference
from eval.sources import Source

SIZE = 23


class Numbers(Source):
    """Images of one pixel, whose value is the number of the image; counts the batches that were taken."""

    def __init__(self, size=SIZE, fail_at=None):
        self.identity, self.size = {"pictures": "numbers"}, size
        self.given, self._fail_at = 0, fail_at

    def batches(self, first, batch_size):
        for start in range(first, self.size, batch_size):
            if start == self._fail_at:
                raise KeyboardInterrupt
            self.given += 1
            yield {"number": tf.range(start, min(start + batch_size, self.size))}

    def images(self, batch):
        return tf.ones([1, 1, 1, 3], tf.uint8) * tf.cast(batch["number"], tf.uint8)[:, None, None, None]


class Squares(Measure):
    title, identity, weights = "squares", {}, ""

    def look(self, images):
        number = tf.cast(images[:, 0, 0, 0], tf.float32)
        return {"squares": number**2, "pairs": tf.stack([number, -number], axis=1)}

    def refer(self, seen, listed):
        return Reference({}, [])

    def scores(self, seen, listed, reference):
        return []


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    folder, output = sys.argv[1:]
    seen = collect(
        Numbers(), [Squares()], folder, strategy=strategy, batch_size=5, identity={}, title="numbers on two replicas"
    )
    np.savez(output, squares=seen.whole("squares"), pairs=seen.whole("pairs"))
