"""One iteration of Algorithm 1, as each replica runs it."""

from __future__ import annotations

from typing import Callable, NamedTuple

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.models.discriminator import DiscriminatorOutput
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.distribution import num_replicas, replica_rows, sum_over_replicas
from xmcgan.training.objectives import Objective, Objectives
from xmcgan.training.state import TrainState


class Example(NamedTuple):
    """A replica's part of a batch, ready for the networks."""

    image: tf.Tensor  # Real pictures, [batch, size, size, 3] in [0, 1]
    text: TextFeatures  # Of one caption each
    z: tf.Tensor  # Noise, [batch, noise_dim]


class Update:
    """Changes a `TrainState` by one iteration: the discriminator's steps, then the generator's."""

    def __init__(self, config: Config, state: TrainState, image_encoder: Callable | None = None):
        """Args:
        config: the experiment.
        state: what is trained.
        image_encoder: pictures -> features [batch, dim]; needed if one of its losses is on.
        """
        self._config = config
        self._state = state
        self._image_encoder = image_encoder
        self.objectives = Objectives(config.losses)

    @staticmethod
    def batches_per_iteration(config: Config) -> int:
        """Batches that one iteration draws: a fresh one for each step, or with 'joint' one fewer."""
        return config.training.discriminator_steps + (config.training.update_rule == "algorithm1")

    def __call__(self, examples: list[Example]) -> dict[str, tf.Tensor]:
        """Runs one iteration on `batches_per_iteration` examples.

        Returns:
          Scalars by name, of the last discriminator step ('d/...') and the generator step ('g/...').
        """
        *first, last = examples
        metrics = {}
        for example in first:
            metrics.update(self.discriminator_step(example))
        step = self.joint_step if self._config.training.update_rule == "joint" else self.generator_step
        metrics.update(step(last))
        return metrics

    def discriminator_step(self, example: Example) -> dict[str, tf.Tensor]:
        """Lines 3 to 9 of Algorithm 1. The generator's moving averages stay as they are."""
        state = self._state
        fake = state.generator(example.z, example.text, training=True, update_statistics=False).image
        with tf.GradientTape() as tape:
            real_output, fake_output = self._discriminate(example, tf.stop_gradient(fake))
            objective = self.objectives.discriminator(real_output, fake_output, example.text)
            loss = objective.loss / num_replicas()
        norm = _apply(tape, loss, state.discriminator, state.discriminator_optimizer)
        return _named("d", objective, norm)

    def generator_step(self, example: Example) -> dict[str, tf.Tensor]:
        """Lines 11 to 17 of Algorithm 1."""
        state = self._state
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.generator.trainable_variables)
            drawn = state.generator(example.z, example.text, training=True)
            real_output, fake_output = None, None
            if self._config.losses.generator_image:
                real_output, fake_output = self._discriminate(example, drawn.image)
            else:
                fake_output = state.discriminator(drawn.image, example.text.sentence, training=True)
            objective = self._generator_objective(example, drawn.image, real_output, fake_output)
            loss = objective.loss / num_replicas()
        norm = _apply(tape, loss, state.generator, state.generator_optimizer)
        return {**_named("g", objective, norm), **_attention_entropy(drawn.attention)}

    def joint_step(self, example: Example) -> dict[str, tf.Tensor]:
        """A discriminator and a generator step that share batch and forward passes, as the reference's last step."""
        state = self._state
        with tf.GradientTape(persistent=True) as tape:
            drawn = state.generator(example.z, example.text, training=True)
            real_output, fake_output = self._discriminate(example, drawn.image)
            for_d = self.objectives.discriminator(real_output, fake_output, example.text)
            for_g = self._generator_objective(example, drawn.image, real_output, fake_output)
            d_loss, g_loss = for_d.loss / num_replicas(), for_g.loss / num_replicas()
        # Both gradients are taken before either network moves.
        d_gradients = _gradients(tape, d_loss, state.discriminator)
        g_gradients = _gradients(tape, g_loss, state.generator)
        del tape
        d_norm = _descend(d_gradients, state.discriminator, state.discriminator_optimizer)
        g_norm = _descend(g_gradients, state.generator, state.generator_optimizer)
        return {
            **_named("d", for_d, d_norm),
            **_named("g", for_g, g_norm),
            **_attention_entropy(drawn.attention),
        }

    def _discriminate(self, example: Example, fake: tf.Tensor) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        """D on real and generated pictures as one batch, so that one power iteration serves both."""
        output = self._state.discriminator(
            tf.concat([example.image, fake], axis=0), tf.concat([example.text.sentence] * 2, axis=0), training=True
        )
        halves = [tf.split(tensor, 2) for tensor in output]
        return DiscriminatorOutput(*(half[0] for half in halves)), DiscriminatorOutput(*(half[1] for half in halves))

    def _generator_objective(
        self,
        example: Example,
        fake: tf.Tensor,
        real_output: DiscriminatorOutput | None,
        fake_output: DiscriminatorOutput,
    ) -> Objective:
        losses = self._config.losses
        encodings = ()
        if losses.generator_image_encoder or losses.generator_perceptual:
            encodings = (self._image_encoder(example.image), self._image_encoder(fake))
        return self.objectives.generator(real_output, fake_output, example.text, *encodings)


def noise(seed: int, step: tf.Tensor, draw: int, global_batch: int, dim: int) -> tf.Tensor:
    """This replica's rows of z ~ N(0, I), [global_batch / replicas, dim].

    A function of its arguments alone: a replayed step draws the same noise, whatever the number of replicas.

    Args:
      seed: of the run.
      step: the iteration.
      draw: which of the iteration's draws.
      global_batch: rows over all replicas.
      dim: width of z.
    """
    key = tf.random.experimental.stateless_fold_in(tf.constant([seed, draw], tf.int64), step)
    return replica_rows(tf.random.stateless_normal([global_batch, dim], key))


def _gradients(tape: tf.GradientTape, loss: tf.Tensor, model: tf.keras.Model) -> list[tf.Tensor]:
    return tape.gradient(loss, model.trainable_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _descend(gradients: list[tf.Tensor], model: tf.keras.Model, optimizer) -> tf.Tensor:
    """One step on the sum of the replicas' gradients; returns their global norm."""
    gradients = sum_over_replicas(gradients)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables), skip_gradients_aggregation=True)
    return tf.linalg.global_norm(gradients)


def _apply(tape: tf.GradientTape, loss: tf.Tensor, model: tf.keras.Model, optimizer) -> tf.Tensor:
    return _descend(_gradients(tape, loss, model), model, optimizer)


def _named(network: str, objective: Objective, gradient_norm: tf.Tensor) -> dict[str, tf.Tensor]:
    metrics = {f"{network}/{name}": value for name, value in objective.metrics.items()}
    return {**metrics, f"{network}/gradient_norm": gradient_norm}


def _attention_entropy(attention: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """Nats; 0 where every region looks at one word, log(words) where it looks at all alike."""
    if attention is None:
        return {}
    entropy = -tf.reduce_sum(tf.math.xlogy(attention, attention), axis=-1)  # [batch, regions]
    return {"g/attention_entropy": tf.reduce_mean(entropy)}
