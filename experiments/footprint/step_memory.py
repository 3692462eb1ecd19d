"""What a training run holds on each device, part by part: predicted from shapes and graphs, or measured here.

Nothing is allocated for a prediction: variables are made without storage, and the step is traced and not run. So the
paper's batch can be looked at on any machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import resource
from collections.abc import Iterator
from typing import Callable, NamedTuple

import psutil
import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops.resource_variable_ops import UninitializedVariable

from data_pipelines.scenes import bert_model
from experiments.footprint import liveness, random_image_encoder
from xmcgan import handles
from xmcgan.config import Config
from xmcgan.images import from_uint8
from xmcgan.losses.word_scores import word_region_scores
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.state import TrainState, update_average
from xmcgan.training.step import Example, TrainingStep

_REGIONS = 256
_VOCABULARY, _POSITIONS = 30_522, 512  # Of the published BERTs.


class Prediction(NamedTuple):
    """Bytes on each device."""

    held: dict[str, int]  # All through the run
    discriminator_step: int  # Activations and gradients at its worst moment; 0 if every step is joint
    generator_step: int  # The same; of the joint step, if that is the rule
    word_loss: int  # Of those, if the word loss were alone
    other_sentences: int  # What the word loss needs for the sentences of other replicas, beside the steps' own
    gradients: dict[str, int]  # Of those, by network
    worst: str  # The operation at the worst moment

    @property
    def peak(self) -> int:
        """All of it at the worst moment."""
        return sum(self.held.values()) + self.step

    @property
    def step(self) -> int:
        """What comes and goes."""
        return max(self.discriminator_step, self.generator_step) + self.other_sentences


def predict(config: Config, replicas: int = 1) -> Prediction:
    """Predicts what one of several devices holds.

    Args:
      config: the experiment; its batch is that of all replicas together, which must divide it.
      replicas: devices that share the batch.
    """
    rows = config.training.batch_size // replicas
    # Of shapes that are known before anything runs.
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, xla=True))
    with _of_batch(config, rows):
        with without_storage():
            state = TrainState(config)
            encoder = random_image_encoder.build(config)
        traced = step(config, state, encoder).get_concrete_function(batches(config))
        in_flight = sum(liveness.bytes_of(spec) for spec in tf.nest.flatten([*batches(config), batches(config)[0]]))

    steps, outputs = liveness.steps_of(traced.graph)
    end = _end_of_discriminator_steps(config, state, traced.graph, steps)
    d_peak = liveness.peak(steps, outputs, within=range(end))
    g_peak = liveness.peak(steps, outputs, within=range(end, len(steps)))
    words = {sentences: _word_loss(config, rows, sentences) for sentences in (rows, rows * replicas)}
    seen = config.training.batch_size if config.losses.negatives == "global" else rows
    networks = {"generator": state.generator, "discriminator": state.discriminator}
    return Prediction(
        held={
            "weights of the generator": _size(state.generator.variables),
            "its averaged weights": _size(state.ema_generator.variables),
            "weights of the discriminator": _size(state.discriminator.variables),
            "moments of Adam": _size(state.generator_optimizer.variables)
            + _size(state.discriminator_optimizer.variables),
            "BERT": 0 if config.text.precomputed else 4 * bert_parameters(config),
            "image encoder": _size(encoder.variables) if encoder else 0,
            "batches in flight": in_flight,
        },
        discriminator_step=d_peak.bytes,
        generator_step=g_peak.bytes,
        word_loss=words[seen],
        other_sentences=words[seen] - words[rows],
        gradients={name: _size(network.trainable_variables) for name, network in networks.items()},
        worst=max(d_peak, g_peak).step,
    )


def smallest_fit(config: Config, limit: float, step_of: Callable[[Config], Prediction]) -> tuple[int, bool] | None:
    """The fewest micro-batches, a power of two, with which a run fits; with recomputation only if it must be.

    Args:
      config: the experiment; its own micro-batches and recomputation are tried over. They are the same afterwards.
      limit: bytes of a device.
      step_of: predicts.

    Returns:
      Micro-batches, and whether to recompute; None if nothing fits.
    """
    options = config.training
    before = options.micro_batches, options.recompute
    try:
        options.micro_batches = 1
        while options.batch_size % options.micro_batches == 0:
            for options.recompute in (False, True):
                if step_of(config).peak <= limit:
                    return options.micro_batches, options.recompute
            options.micro_batches *= 2
        return None
    finally:
        options.micro_batches, options.recompute = before


def measure(config: Config) -> int:
    """Runs iterations here, on one device; call it in a fresh process.

    Returns:
      Bytes by which the process grew at most beyond what it held before: to be compared with a prediction's `step`.
      Weights, moments and batches were there already, as were the framework's own threads and caches.
    """
    state = TrainState(config)
    encoder = random_image_encoder.build(config)
    before = 0
    # The smallest batch first: what it leaves behind is the framework's.
    for rows in dict.fromkeys((max(2, config.training.micro_batches), config.training.batch_size)):
        with _of_batch(config, rows):
            examples = tf.nest.map_structure(lambda spec: tf.ones(spec.shape, spec.dtype), batches(config))
            run = step(config, state, encoder)
            run.get_concrete_function(examples)
            before = psutil.Process().memory_info().rss
            for _ in range(2):
                run(examples)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def step(config: Config, state: TrainState, encoder: Callable | None) -> tf.types.experimental.GenericFunction:
    """An iteration as the training compiles it, on one replica, without BERT: `batches` -> metrics."""
    update = TrainingStep(config, state, encoder)

    @tf.function
    def iteration(drawn: list[Example]) -> dict[str, tf.Tensor]:
        metrics = update([example._replace(image=from_uint8(example.image)) for example in drawn])
        update_average(state.ema_generator, state.generator, config.training.ema_decay)
        state.step.assign_add(1)
        return metrics

    return iteration


def batches(config: Config) -> list[Example]:
    """What an iteration is given, as specs: images in uint8, features and noise."""
    rows, size = config.training.batch_size, config.data.image_size
    text = TextFeatures(
        tf.TensorSpec([rows, config.text.dim]),
        tf.TensorSpec([rows, config.data.text_length, config.text.dim]),
        tf.TensorSpec([rows], tf.int32),
    )
    example = Example(
        tf.TensorSpec([rows, size, size, 3], tf.uint8), text, tf.TensorSpec([rows, config.generator.noise_dim])
    )
    return [example] * TrainingStep.batches_per_iteration(config)


def bert_size(config: Config) -> tuple[int, int]:
    """Layers and width of the text encoder, as a published handle names them; of the base size where none does."""
    if handles.is_prepared(config.text.encoder):  # The small one of the scenes.
        return bert_model.SMALL.layers, config.text.dim
    named = re.search(r"L-(\d+)_H-(\d+)", config.text.encoder)
    return (int(named[1]), int(named[2])) if named else (12, config.text.dim)


def bert_parameters(config: Config) -> int:
    """Of the text encoder."""
    layers, width = bert_size(config)
    embeddings = (_VOCABULARY + _POSITIONS + 2) * width + 2 * width
    return embeddings + layers * (12 * width**2 + 13 * width) + width**2 + width


def _word_loss(config: Config, images: int, sentences: int) -> int:
    """Bytes at the worst moment of the word loss and its gradient with respect to the regions."""
    options, dim = config.losses, config.text.dim
    if not (options.discriminator_word or options.generator_word):
        return 0

    def gradient(regions: tf.Tensor, words: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(regions)
            scores = word_region_scores(
                regions,
                words,
                lengths,
                rho_1=options.rho_1,
                rho_2=options.rho_2,
                normalize_context=options.context_regions == "normalized",
                chunk=options.word_chunk,
            )
        return tape.gradient(scores, regions)

    return liveness.peak_of_function(
        tf.function(gradient).get_concrete_function(
            tf.TensorSpec([images, _REGIONS, dim]),
            tf.TensorSpec([sentences, config.data.text_length, dim]),
            tf.TensorSpec([sentences], tf.int32),
        )
    ).bytes


def _end_of_discriminator_steps(config: Config, state: TrainState, graph: FuncGraph, steps: list[liveness.Step]) -> int:
    """Where in the steps D's own end: nothing but its optimizer touches a moment of Adam, once in each of them."""
    own = config.training.discriminator_steps - (config.training.update_rule == "joint")
    if own == 0:
        return 0
    handle = state.discriminator_optimizer.variables[-1].handle
    (name,) = (inner.name for outer, inner in graph.captures if outer is handle)
    touched = [index for index, each in enumerate(steps) if any(buffer.name == name for buffer in each.reads)]
    return touched[own * len(touched) // config.training.discriminator_steps - 1] + 1


@contextlib.contextmanager
def _of_batch(config: Config, rows: int) -> Iterator[None]:
    """The config of one replica, for which the batch is its own share."""
    whole = config.training.batch_size
    config.training.batch_size = rows
    try:
        yield
    finally:
        config.training.batch_size = whole


@contextlib.contextmanager
def without_storage() -> Iterator[None]:
    """Variables made within have a shape and no memory; what is computed of them is traced and never run."""

    def create(next_creator: Callable, **options) -> tf.Variable:
        del next_creator
        value, shape, dtype = (options.get(name) for name in ("initial_value", "shape", "dtype"))
        if shape is None or dtype is None:
            value = tf.convert_to_tensor(value() if callable(value) else value, dtype)
            shape, dtype = value.shape, value.dtype
        kept = ("trainable", "name", "synchronization", "aggregation")
        return UninitializedVariable(
            shape=shape, dtype=dtype, **{name: options[name] for name in kept if name in options}
        )

    with tf.variable_creator_scope(create), FuncGraph("without_storage").as_default():
        yield


def _size(variables: list) -> int:
    return sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in variables)
