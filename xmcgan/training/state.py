"""The state of a training run: networks, averaged generator, optimizers and step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.discriminator import Discriminator
from xmcgan.models.generator import Generator
from xmcgan.models.precision import activations_in
from xmcgan.models.text_encoder import TextFeatures


class TrainState(tf.train.Checkpoint):
    """All variables of a run, which are saved and restored together."""

    def __init__(self, config: Config):
        """Builds the networks, with weights drawn from `config.training.seed`; call it inside the strategy's scope."""
        options = config.training
        tf.keras.utils.set_random_seed(options.seed)
        super().__init__(
            step=tf.Variable(0, dtype=tf.int64, trainable=False, name="step"),
            generator=build_generator(config, options.precision),
            ema_generator=build_generator(config),
            discriminator=build_discriminator(config, options.precision),
            generator_optimizer=_adam(config, options.generator_learning_rate),
            discriminator_optimizer=_adam(config, options.discriminator_learning_rate),
        )
        # The seed is only for the initial weights; a global seed would also change the order of the data.
        tf.random.set_seed(None)
        copy_variables(self.ema_generator.variables, self.generator.variables)
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)


def size_of_checkpoint(state: TrainState) -> int:
    """Returns the bytes of a checkpoint's weights: those of the networks and Adam's two moments of each."""
    generator, discriminator = (
        sum(variable.shape.num_elements() for variable in network.trainable_variables)
        for network in (state.generator, state.discriminator)
    )
    return tf.float32.size * (4 * generator + 3 * discriminator)  # The fourth is the average of the generator.


class Adam(tf.keras.optimizers.Adam):
    """Adam with epsilon added to the bias-corrected root, computed by TensorFlow's fused kernel.

    Keras adds epsilon to the uncorrected root, where it weighs 30 times as much in the first steps: parameters with
    gradients around 1e-7 would hardly move at first.
    """

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[tf.Tensor, tf.Variable]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Updates all variables and their moments; each replica updates its own copies with the same gradients.

        Keras would update each variable in an exchange between the replicas, and would trace a dozen small ops for
        each. Here, what all variables share is computed once.

        Args:
          grads_and_vars: gradients and variables: all variables that the optimizer was built for, in that order.
          name: of the scope of the ops.
          skip_gradients_aggregation: whether the gradients are sums over the replicas already.
          **kwargs: none; Keras has them for older code.

        Returns:
          The number of steps done.

        Raises:
          ValueError: some variables are missing.
        """
        del kwargs
        if not skip_gradients_aggregation:
            grads_and_vars = self.aggregate_gradients(grads_and_vars)
        updates = list(grads_and_vars)
        _, *moments = self.variables  # The number of steps, then m and v of each variable.
        if 2 * len(updates) != len(moments):
            raise ValueError(f"{len(updates)} gradients for an optimizer of {len(moments) // 2} variables")
        with tf.name_scope(name or self.name):
            return self._update(updates, moments)

    def _update(self, updates: list[tuple[tf.Tensor, tf.Variable]], moments: list[tf.Variable]) -> tf.Tensor:
        dtype = moments[0].dtype
        step = tf.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = tf.constant(self.beta_1, dtype), tf.constant(self.beta_2, dtype)
        beta_1_power, beta_2_power = tf.pow(beta_1, step), tf.pow(beta_2, step)
        learning_rate = tf.cast(self.learning_rate, dtype)
        # The kernel adds epsilon to the uncorrected root, so epsilon is scaled down as that root is.
        epsilon = self.epsilon * tf.sqrt(1.0 - beta_2_power)
        for (gradient, variable), m, v in zip(updates, moments[::2], moments[1::2]):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=beta_1_power,
                beta2_power=beta_2_power,
                lr=learning_rate,
                beta1=beta_1,
                beta2=beta_2,
                epsilon=epsilon,
                grad=gradient,
            )
        return self.iterations.assign_add(1)


def build_generator(config: Config, precision: str = "float32", small: bool = False) -> Generator:
    """Builds a generator and its variables.

    Args:
      config: the experiment.
      precision: of the activations, see `activations_in`.
      small: whether the weights have that precision as well; for inference.
    """
    text = TextFeatures(
        sentence=tf.zeros([1, config.text.dim]),
        words=tf.zeros([1, config.data.text_length, config.text.dim]),
        lengths=tf.ones([1], tf.int32),
    )
    with activations_in(precision, weights=small):  # Some layers are made in the first call.
        generator = Generator(config.generator, config.data.image_size, config.text.dim)
        generator(tf.zeros([1, config.generator.noise_dim]), text)
    return generator


def build_discriminator(config: Config, precision: str = "float32") -> Discriminator:
    """Builds a discriminator and its variables, with activations of a precision, see `activations_in`."""
    size = config.data.image_size
    with activations_in(precision):
        discriminator = Discriminator(config.discriminator, size, config.text.dim)
        discriminator(tf.zeros([1, size, size, 3]), tf.zeros([1, config.text.dim]))
    return discriminator


def decay_at(step: tf.Tensor, decay: float) -> tf.Tensor:
    """Returns the decay of an average that starts short and grows longer: min(decay, (1 + step) / (10 + step))."""
    step = tf.cast(step, tf.float32)
    return tf.minimum(decay, (1.0 + step) / (10.0 + step))


def update_average(average: tf.keras.Model, source: tf.keras.Model, decay: float | tf.Tensor) -> None:
    """Updates the moving average of the generator's weights (Appendix A); called inside a replica.

    Trainable weights: average <- decay * average + (1 - decay) * source. Moving batch statistics are averages
    already, and are copied. Each replica updates its own copy; all have the same weights, so the copies stay equal.

    Args:
      average: the averaged model, built with the same layout as `source`.
      source: the model in training, after its step.
      decay: in [0, 1); 0.999 in the paper.
    """
    rate = tf.convert_to_tensor(1.0 - decay, average.trainable_variables[0].dtype)
    for averaged, current in zip(average.trainable_variables, source.trainable_variables):
        # The raw op, because `assign_sub` of a mirrored variable would be an exchange between the replicas.
        tf.raw_ops.AssignSubVariableOp(resource=averaged.handle, value=rate * (averaged - current))
    copy_variables(average.non_trainable_variables, source.non_trainable_variables)


def set_learning_rates(config: Config, state: TrainState) -> None:
    """Sets the learning rates of the step that follows, which fall to 0 over `training.learning_rate_decay_steps`."""
    options = config.training
    left = tf.cast(options.num_steps - state.step.read_value(), tf.float32) / options.learning_rate_decay_steps
    share = tf.clip_by_value(left, 0.0, 1.0)
    state.generator_optimizer.learning_rate.assign(options.generator_learning_rate * share)
    state.discriminator_optimizer.learning_rate.assign(options.discriminator_learning_rate * share)


def copy_variables(targets: list[tf.Variable], sources: list[tf.Variable]) -> None:
    """Assigns each source to its target."""
    for target, source in zip(targets, sources):
        target.assign(source)


def _adam(config: Config, learning_rate: float) -> tf.keras.optimizers.Optimizer:
    options = config.training
    adam = Adam(learning_rate, options.beta_1, options.beta_2, options.adam_epsilon, jit_compile=False)
    # Gradients below 6e-8 would vanish in float16.
    return tf.keras.mixed_precision.LossScaleOptimizer(adam) if options.precision == "float16" else adam
