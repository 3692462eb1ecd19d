"""Traces the training step to a graph that is analyzed and never run: nothing is allocated, whatever its size."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Callable, NamedTuple

import tensorflow as tf
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops.resource_variable_ops import UninitializedVariable

from experiments.footprint import random_image_encoder
from xmcgan import handles
from xmcgan.config import Config
from xmcgan.images import from_uint8
from xmcgan.models import bert_model
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.augmentation import NUM_RANDOM
from xmcgan.training.state import TrainState, update_average
from xmcgan.training.step import Example, TrainingStep


class TracedStep(NamedTuple):
    """A traced training iteration on one replica."""

    function: tf.types.experimental.ConcreteFunction  # All shapes in its graph are known
    state: TrainState  # Its variables have no storage
    image_encoder: tf.keras.Model | None

    @property
    def graph(self) -> FuncGraph:
        """The graph, which exists as long as `function` does."""
        return self.function.graph


def trace(config: Config) -> TracedStep:
    """Traces an iteration of an experiment, whose batch size is that of one replica."""
    config = config.with_fields({"training.xla": True})  # With XLA, all shapes are static.
    with without_storage():
        state = TrainState(config)
        encoder = random_image_encoder.build(config)
    return TracedStep(iteration(config, state, encoder).get_concrete_function(batches(config)), state, encoder)


def iteration(config: Config, state: TrainState, encoder: Callable | None) -> tf.types.experimental.GenericFunction:
    """Returns an iteration (`batches` -> metrics) as the training loop compiles it, on one replica and without BERT."""
    step = TrainingStep(config, state, encoder)

    @tf.function(autograph=False)
    def run(drawn: list[Example]) -> dict[str, tf.Tensor]:
        metrics = step([example._replace(image=from_uint8(example.image)) for example in drawn])
        update_average(state.ema_generator, state.generator, config.training.ema_decay)
        state.step.assign_add(1)
        return metrics

    return run


def batches(config: Config) -> list[Example]:
    """Returns the specs of an iteration's inputs, one for each step: images in uint8, features, random numbers."""
    rows, size = config.training.batch_size, config.data.image_size
    text = TextFeatures(
        tf.TensorSpec([rows, config.text.dim]),
        tf.TensorSpec([rows, config.data.text_length, config.text.dim]),
        tf.TensorSpec([rows], tf.int32),
    )
    example = Example(
        tf.TensorSpec([rows, size, size, 3], tf.uint8),
        text,
        tf.TensorSpec([rows, config.generator.noise_dim]),
        None if config.training.augmentation == "none" else tf.TensorSpec([rows, NUM_RANDOM]),
    )
    return [example] * config.training.noises_per_iteration


@contextlib.contextmanager
def without_storage() -> Iterator[None]:
    """Gives variables that are created in the context a shape but no memory; for tracing only."""

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


def text_encoder_size(config: Config) -> bert_model.Architecture:
    """Returns the size of the text encoder, read from a published handle; the base size for other handles."""
    if handles.is_prepared(config.text.encoder):
        return bert_model.SMALL._replace(width=config.text.dim)
    named = re.search(r"L-(\d+)_H-(\d+)", config.text.encoder)
    if not named:
        return bert_model.BASE._replace(width=config.text.dim)
    return bert_model.BASE._replace(layers=int(named[1]), width=int(named[2]))
