"""The exponential moving average of the generator's weights (paper, Appendix A)."""

from __future__ import annotations

import tensorflow as tf


def update(average: tf.keras.Model, source: tf.keras.Model, decay: float) -> None:
    """Moves `average` towards `source`.

    Trainable weights: average <- decay * average + (1 - decay) * source. Moving batch statistics are averages
    already and are copied. Call it between steps, outside of the replicas.

    Args:
      average: a model of the same layout, both built.
      source: the model in training.
      decay: in [0, 1); 0.999 in the paper.
    """
    strategy = tf.distribute.get_strategy()
    for averaged, current in zip(average.trainable_variables, source.trainable_variables):
        strategy.extended.update(averaged, lambda a, c: a.assign_sub((1.0 - decay) * (a - c)), args=(current,))
    # Within the replicas, where each copies its own: read from outside, they would be averaged over all replicas first.
    strategy.run(copy, args=(average.non_trainable_variables, source.non_trainable_variables))


def copy(targets: list[tf.Variable], sources: list[tf.Variable]) -> None:
    """Assigns each source to its target."""
    for target, source in zip(targets, sources):
        target.assign(source)
