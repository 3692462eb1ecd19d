"""Adam as published (Kingma and Ba 2015, Algorithm 1)."""

from __future__ import annotations

import tensorflow as tf


class Adam(tf.keras.optimizers.Adam):
    """Adam with epsilon added to the bias-corrected root, by TensorFlow's fused kernel.

    Keras adds epsilon to the uncorrected root, which in the first steps is 30 times as much: parameters whose
    gradients are around 1e-7 would then hardly move at first. It also takes a dozen small ops a variable.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Moves one variable and its two moments."""
        index = self._index_dict[self._var_key(variable)]
        step = tf.cast(self.iterations + 1, variable.dtype)
        beta_1_power, beta_2_power = (tf.pow(tf.cast(b, variable.dtype), step) for b in (self.beta_1, self.beta_2))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=tf.cast(self.learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            # The kernel's epsilon belongs to the uncorrected root: so it is scaled down as that is.
            epsilon=self.epsilon * tf.sqrt(1.0 - beta_2_power),
            grad=gradient,
        )
