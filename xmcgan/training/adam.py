"""Adam as published (Kingma and Ba 2015, Algorithm 1)."""

from __future__ import annotations

import tensorflow as tf


class Adam(tf.keras.optimizers.Adam):
    """Adam with epsilon added to the bias-corrected root.

    Keras adds it to the uncorrected one (its "epsilon hat"), which in the first steps is 30 times as much: parameters
    whose gradients are around 1e-7 would then hardly move at first.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Moves one variable and its two moments."""
        index = self._index_dict[self._var_key(variable)]
        momentum, velocity = self._momentums[index], self._velocities[index]
        step = tf.cast(self.iterations + 1, variable.dtype)
        momentum.assign_add((gradient - momentum) * (1.0 - self.beta_1))
        velocity.assign_add((tf.square(gradient) - velocity) * (1.0 - self.beta_2))
        corrected_momentum = momentum / (1.0 - tf.pow(self.beta_1, step))
        corrected_velocity = velocity / (1.0 - tf.pow(self.beta_2, step))
        rate = tf.cast(self.learning_rate, variable.dtype)
        variable.assign_sub(rate * corrected_momentum / (tf.sqrt(corrected_velocity) + self.epsilon))
