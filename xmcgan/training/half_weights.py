"""Checkpoints of half the size: trainable weights in float16, everything else as it is, under the same names."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from xmcgan.literal_paths import literal_path


class HalfWeights(NamedTuple):
    """A copy of a network's variables, to be written to a checkpoint or restored from one in the network's place."""

    trackable: tf.Module  # The copies, with the names of the originals
    pairs: list[tuple[tf.Variable, tf.Variable]]  # Each variable of the network, and its copy

    def write_back(self) -> None:
        """Assigns the copies to the variables of the network, in 32 bits."""
        for variable, copy in self.pairs:
            variable.assign(tf.cast(copy, variable.dtype))


def halve(network: tf.keras.Model) -> HalfWeights:
    """Copies the variables of a network, with trainable weights in float16.

    Call it inside the strategy's scope, if the network was made in one.

    Args:
      network: a built network.

    Raises:
      ValueError: a weight is too large for float16.
    """
    copies: dict[int, tf.Module | tf.Variable] = {}  # By the identity of the original.
    pairs: list[tuple[tf.Variable, tf.Variable]] = []

    def copy(original) -> tf.Module | tf.Variable:
        if id(original) in copies:
            return copies[id(original)]
        if isinstance(original, tf.Variable):
            value = tf.cast(original, tf.float16 if original.trainable else original.dtype)
            if not tf.reduce_all(tf.math.is_finite(value)):
                raise ValueError(f"the weights {original.name} are too large for float16")
            copies[id(original)] = variable = tf.Variable(value, trainable=False)
            pairs.append((original, variable))
            return variable
        copies[id(original)] = node = tf.Module()  # Before its children: they may lead back to it.
        for name, child in tf.train.TrackableView.children(original).items():
            setattr(node, name, copy(child))
        return node

    return HalfWeights(copy(network), pairs)


def are_in(path: str) -> bool:
    """Tells whether a checkpoint has weights in float16."""
    return tf.float16 in tf.train.load_checkpoint(literal_path(path)).get_variable_to_dtype_map().values()
