"""Everything of a run that training changes: networks, their average, optimizers, the step."""

from __future__ import annotations

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.discriminator import Discriminator
from xmcgan.models.generator import Generator
from xmcgan.models.precision import activations_in
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training import ema
from xmcgan.training.adam import Adam


class TrainState(tf.train.Checkpoint):
    """A run's variables, all of them made here; saved and restored as a whole."""

    def __init__(self, config: Config):
        """Builds the networks from `config.training.seed`. Call it inside the strategy's scope."""
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
        # The seed is for the initial weights alone: a global one would also enter the order of the data.
        tf.random.set_seed(None)
        ema.copy(self.ema_generator.variables, self.generator.variables)
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)


def build_generator(config: Config, precision: str = "float32", small: bool = False) -> Generator:
    """A generator with its variables made.

    Args:
      config: see `Generator`.
      precision: of its activations, see `activations_in`.
      small: its weights are of that precision, too: for inference.
    """
    text = TextFeatures(
        sentence=tf.zeros([1, config.text.dim]),
        words=tf.zeros([1, config.data.text_length, config.text.dim]),
        lengths=tf.ones([1], tf.int32),
    )
    with activations_in(precision, weights=small):  # Some layers are made in the first call.
        generator = Generator(config)
        generator(tf.zeros([1, config.generator.noise_dim]), text)
    return generator


def build_discriminator(config: Config, precision: str = "float32") -> Discriminator:
    """A discriminator with its variables made, whose activations are of this precision."""
    size = config.data.image_size
    with activations_in(precision):
        discriminator = Discriminator(config)
        discriminator(tf.zeros([1, size, size, 3]), tf.zeros([1, config.text.dim]))
    return discriminator


def _adam(config: Config, learning_rate: float) -> tf.keras.optimizers.Optimizer:
    options = config.training
    adam = Adam(learning_rate, options.beta_1, options.beta_2, options.adam_epsilon, jit_compile=False)
    # The gradients of float16 would vanish below 6e-8.
    return tf.keras.mixed_precision.LossScaleOptimizer(adam) if options.precision == "float16" else adam
