"""One iteration of Algorithm 1, as each replica runs it."""

from __future__ import annotations

import functools
from typing import Any, Callable, NamedTuple

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.losses.objectives import Objective, Objectives
from xmcgan.models.discriminator import DiscriminatorOutput
from xmcgan.models.generator import GeneratorOutput
from xmcgan.models.recomputation import recompute
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.replicas import num_replicas, sum_over_replicas
from xmcgan.training.augmentation import augment
from xmcgan.training.state import TrainState


class Example(NamedTuple):
    """A replica's part of a batch, ready for the networks."""

    image: tf.Tensor  # Real images, [batch, size, size, 3] in [0, 1]
    text: TextFeatures  # Features of one caption per image
    z: tf.Tensor  # Noise, [batch, noise_dim]
    # Random numbers of the augmentation, [batch, NUM_RANDOM]; None without augmentation.
    augmentation: tf.Tensor | None = None


class TrainingStep:
    """Trains a `TrainState` for one iteration: the discriminator's steps, then the generator's."""

    def __init__(self, config: Config, state: TrainState, image_encoder: Callable | None = None):
        """Makes the step; call it inside the strategy's scope.

        Args:
          config: the experiment.
          state: the state to train.
          image_encoder: images -> features [batch, dim]; needed if one of its losses is on.

        Raises:
          ValueError: replicas would have to share the batch statistics of micro-batches.
        """
        self._config = config
        self._state = state
        self._image_encoder = image_encoder
        compiled = is_compiled(config, tf.distribute.get_strategy())
        self.objectives = Objectives(config.losses, static_shapes=compiled)
        options = config.training
        own_statistics = options.micro_batches > 1 and options.micro_batch_statistics == "micro_batch"
        if own_statistics and num_replicas() > 1 and config.generator.batch_norm_replicas != 1:
            raise ValueError(
                "training.micro_batch_statistics='micro_batch' needs each replica to have its own statistics: set "
                "generator.batch_norm_replicas=1, or training.micro_batch_statistics='batch'"
            )

    def __call__(self, examples: list[Example]) -> dict[str, tf.Tensor]:
        """Runs one iteration.

        Args:
          examples: one for each step; with 'joint', one for both steps at the end. If there are further G steps
            (`training.generator_steps`), their examples come last.

        Returns:
          Scalar metrics by name, of the last discriminator step ('d/...') and the last generator step ('g/...').
        """
        batches = self._config.training.batches_per_iteration
        (*first, last), further = examples[:batches], examples[batches:]
        metrics: dict[str, tf.Tensor] = {}
        for example in first:
            metrics.update(self.discriminator_step(_after(metrics, example)))
        step = self.joint_step if self._config.training.update_rule == "joint" else self.generator_step
        metrics.update(step(_after(metrics, last)))
        for example in further:
            metrics.update(self.generator_step(_after(metrics, example)))
        return metrics

    def discriminator_step(self, example: Example) -> dict[str, tf.Tensor]:
        """Runs lines 3 to 9 of Algorithm 1; the generator's moving averages do not change."""
        state = self._state
        fake = self._draw(example).image
        with tf.GradientTape() as tape:
            # Real and generated images form one batch, so that the gradient of the large kernels is computed once.
            pair = [self._augment(image, example) for image in (example.image, tf.stop_gradient(fake))]
            images = tf.concat(pair, axis=0)
            sentences = tf.concat([example.text.sentence] * 2, axis=0)
            output = self._discriminate(images, sentences, state.discriminator.parameters(training=True))
            real, fake = (DiscriminatorOutput(*half) for half in zip(*(tf.split(tensor, 2) for tensor in output)))
            objective = self.objectives.discriminator(real, fake, example.text)
            loss = objective.loss / num_replicas()
        gradients = _gradients(loss, [(tape, state.discriminator.trainable_variables)], state.discriminator_optimizer)
        return _named("d", objective, _descend(gradients, state.discriminator, state.discriminator_optimizer))

    def generator_step(self, example: Example) -> dict[str, tf.Tensor]:
        """Runs lines 11 to 17 of Algorithm 1."""
        state, sentence = self._state, example.text.sentence
        parameters = state.discriminator.parameters(training=True)
        real_output = None
        if self._config.uses_real_features:  # The loss compares with real images, which get no gradient.
            real = self._augment(example.image, example)
            real_output = self._discriminate(real, sentence, parameters, frozen=True)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.generator.trainable_variables)
            drawn = self._draw(example)
            fake = self._augment(drawn.image, example)
            fake_output = self._discriminate(fake, sentence, parameters, frozen=True)
            objective = self._generator_objective(example, drawn.image, real_output, fake_output)
            loss = objective.loss / num_replicas()
        gradients = _gradients(loss, [(tape, state.generator.trainable_variables)], state.generator_optimizer)
        norm = _descend(gradients, state.generator, state.generator_optimizer)
        state.generator.update_moving_averages(drawn.statistics)
        return {**_named("g", objective, norm), **_attention_entropy(drawn.attention)}

    def joint_step(self, example: Example) -> dict[str, tf.Tensor]:
        """Runs a discriminator and a generator step that share batch and forward pass, as in the reference."""
        state, sentence = self._state, example.text.sentence
        # Three tapes, so that no unused gradient is traced, such as that of D's loss with respect to G's weights.
        with tf.GradientTape(watch_accessed_variables=False) as drawing:
            drawing.watch(state.generator.trainable_variables)
            drawn = self._draw(example)
        with tf.GradientTape() as normalizing:
            parameters = state.discriminator.parameters(training=True)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as judging:
            judging.watch([drawn.image, parameters])
            # Two separate passes, so that the generator's gradient goes only through the generated images.
            real_output = self._discriminate(self._augment(example.image, example), sentence, parameters)
            fake_output = self._discriminate(self._augment(drawn.image, example), sentence, parameters)
            for_d = self.objectives.discriminator(real_output, fake_output, example.text)
            for_g = self._generator_objective(example, drawn.image, real_output, fake_output)
            d_loss, g_loss = for_d.loss / num_replicas(), for_g.loss / num_replicas()
        # Both gradients are computed before either network changes.
        to_d = [(judging, parameters), (normalizing, state.discriminator.trainable_variables)]
        to_g = [(judging, drawn.image), (drawing, state.generator.trainable_variables)]
        d_gradients = _gradients(d_loss, to_d, state.discriminator_optimizer)
        g_gradients = _gradients(g_loss, to_g, state.generator_optimizer)
        del judging
        d_norm = _descend(d_gradients, state.discriminator, state.discriminator_optimizer)
        g_norm = _descend(g_gradients, state.generator, state.generator_optimizer)
        state.generator.update_moving_averages(drawn.statistics)
        return {
            **_named("d", for_d, d_norm),
            **_named("g", for_g, g_norm),
            **_attention_entropy(drawn.attention),
        }

    def _draw(self, example: Example) -> GeneratorOutput:
        """Generates a batch of images, with batch statistics; in parts if there are `training.micro_batches`."""
        options, parts = self._config.training, self._config.training.micro_batches
        draw: Callable[..., Any] = functools.partial(self._state.generator, use_batch_statistics=True)
        if parts > 1 and options.micro_batch_statistics == "batch":
            # Parts run from one batch normalization to the next; only the maps in between are held for the whole batch.
            return draw(example.z, example.text, wrap=functools.partial(recompute, parts=parts))
        if options.recompute:
            draw = functools.partial(draw, wrap=recompute)
        if parts > 1:
            draw = recompute(draw, parts=parts)
        return draw(example.z, example.text)

    def _augment(self, images: tf.Tensor, example: Example) -> tf.Tensor:
        """Changes images as D is to see them; the image encoder sees them without this change."""
        if example.augmentation is None:
            return images
        return augment(images, self._config.training.augmentation, example.augmentation)

    def _discriminate(
        self, images: tf.Tensor, sentences: tf.Tensor, parameters: dict[str, Any], frozen: bool = False
    ) -> DiscriminatorOutput:
        """Computes D's output for a whole batch, one micro-batch at a time.

        Args:
          images: [batch, size, size, 3].
          sentences: e_s, [batch, dim].
          parameters: D's parameters of this step.
          frozen: whether the gradient with respect to D's parameters is not needed.
        """
        options, discriminate = self._config.training, self._state.discriminator
        if options.recompute:
            discriminate = functools.partial(discriminate, wrap=functools.partial(recompute, frozen=frozen))
        if options.micro_batches > 1:
            discriminate = recompute(discriminate, parts=options.micro_batches, frozen=frozen)
        return discriminate(images, sentences, parameters=parameters)

    def _encode(self, images: tf.Tensor) -> tf.Tensor:
        """Computes the frozen image encoder's features of a whole batch, one micro-batch at a time."""
        options, encode = self._config.training, self._image_encoder
        assert encode is not None, "one of its losses is on"
        if options.micro_batches > 1 or options.recompute:
            encode = recompute(encode, parts=options.micro_batches, frozen=True)
        return encode(images)

    def _generator_objective(
        self,
        example: Example,
        fake: tf.Tensor,
        real_output: DiscriminatorOutput | None,
        fake_output: DiscriminatorOutput,
    ) -> Objective:
        encodings: tuple[tf.Tensor, ...] = ()
        if self._config.uses_image_encoder:
            encodings = (self._encode(example.image), self._encode(fake))
        return self.objectives.generator(real_output, fake_output, example.text, *encodings)


def is_compiled(config: Config, strategy: tf.distribute.Strategy) -> bool:
    """Tells whether XLA compiles the step, which needs static shapes."""
    return config.training.xla or isinstance(strategy, tf.distribute.TPUStrategy)


def _after(metrics: dict[str, tf.Tensor], example: Example) -> Example:
    """Returns the example, delayed until the previous step has computed its metrics.

    Otherwise G would generate the images of all steps at once, and hold the activations that their gradients need.
    """
    with tf.control_dependencies(list(metrics.values())):
        return tf.nest.map_structure(lambda x: None if x is None else tf.identity(x), example)


def _gradients(
    loss: tf.Tensor, tapes: list[tuple[tf.GradientTape, Any]], optimizer: tf.keras.optimizers.Optimizer
) -> list[tf.Tensor]:
    """Computes this replica's gradients through a chain of tapes; with loss scaling, they are scaled on the way.

    Args:
      loss: a scalar.
      tapes: the tapes from the loss back to the variables, each with its sources; the sources of one tape are the
        outputs of the next.
      optimizer: the optimizer of the variables.

    Returns:
      The gradient with respect to each source of the last tape.
    """
    scales = isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    outputs = loss
    gradients: Any = optimizer.get_scaled_loss(tf.ones_like(loss)) if scales else None
    for tape, sources in tapes:
        gradients = tape.gradient(
            outputs, sources, output_gradients=gradients, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        outputs = sources
    return optimizer.get_unscaled_gradients(gradients) if scales else gradients


def _descend(gradients: list[tf.Tensor], model: tf.keras.Model, optimizer: tf.keras.optimizers.Optimizer) -> tf.Tensor:
    """Takes one step by the replicas' summed gradients; returns their norm, 0 if loss scaling skipped the step."""
    gradients = sum_over_replicas(gradients)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables), skip_gradients_aggregation=True)
    norm = tf.linalg.global_norm(gradients)
    if isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
        return tf.where(tf.math.is_finite(norm), norm, 0.0)
    return norm


def _named(network: str, objective: Objective, gradient_norm: tf.Tensor) -> dict[str, tf.Tensor]:
    metrics = {f"{network}/{name}": value for name, value in objective.metrics.items()}
    return {**metrics, f"{network}/gradient_norm": gradient_norm}


def _attention_entropy(attention: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """Returns the attention's entropy in nats: 0 if every region attends to one word, log(words) if evenly to all."""
    if attention is None:
        return {}
    entropy = -tf.reduce_sum(tf.math.xlogy(attention, attention), axis=-1)  # [batch, regions]
    return {"g/attention_entropy": tf.reduce_mean(entropy)}
