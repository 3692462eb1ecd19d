"""Checkpoints of half the size: trainable kernels as 16-bit whole numbers of steps, everything else as it is.

Each output channel of a kernel (an index of its last axis) has a step of its own, 1 / 32,767 of its largest weight. So
the error of a weight is at most half a step. In float16, that of the largest weights would be eight times as large.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.literal_paths import literal_path

_LARGEST = 32_767  # Of 16 bits with a sign.


class _Rounded(tf.Module):
    """A kernel in 16 bits."""

    def __init__(self, kernel: tf.Variable):
        super().__init__()
        largest = tf.reduce_max(tf.abs(kernel), axis=list(range(len(kernel.shape) - 1)))  # [channels]
        step = largest / _LARGEST
        self.counts = tf.Variable(tf.cast(tf.round(tf.math.divide_no_nan(kernel, step)), tf.int16), trainable=False)
        self.step = tf.Variable(step, trainable=False)

    def value(self) -> tf.Tensor:
        """Returns the kernel, float32."""
        return tf.cast(self.counts, tf.float32) * self.step


class HalfWeights(NamedTuple):
    """A copy of a network's variables, to be written to a checkpoint or restored from one in the network's place."""

    trackable: tf.Module  # The copies, with the names of the originals
    pairs: list[tuple[tf.Variable, tf.Variable | _Rounded]]  # Each variable of the network, and its copy

    def write_back(self) -> None:
        """Assigns the copies to the variables of the network, in 32 bits."""
        for variable, copy in self.pairs:
            variable.assign(copy.value())


def halve(network: tf.keras.Model) -> HalfWeights:
    """Copies the variables of a network, with trainable kernels in 16 bits.

    Call it inside the strategy's scope, if the network was made in one.

    Args:
      network: a built network.

    Raises:
      ValueError: a weight is not finite.
    """
    copies: dict[int, tf.Module | tf.Variable] = {}  # By the identity of the original.
    pairs: list[tuple[tf.Variable, tf.Variable | _Rounded]] = []

    def copy(original) -> tf.Module | tf.Variable:
        if id(original) in copies:
            return copies[id(original)]
        if isinstance(original, tf.Variable):
            if original.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(original)):
                raise ValueError(f"the weights {original.name} are not finite")
            is_kernel = original.trainable and len(original.shape) > 1
            copied = _Rounded(original) if is_kernel else tf.Variable(original, trainable=False)
            copies[id(original)] = copied
            pairs.append((original, copied))
            return copied
        copies[id(original)] = node = tf.Module()  # Before its children: they may lead back to it.
        for name, child in tf.train.TrackableView.children(original).items():
            setattr(node, name, copy(child))
        return node

    return HalfWeights(copy(network), pairs)


def are_in(path: str) -> bool:
    """Tells whether a checkpoint has kernels in 16 bits."""
    return tf.int16 in tf.train.load_checkpoint(literal_path(path)).get_variable_to_dtype_map().values()
