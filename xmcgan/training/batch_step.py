"""The training step as a function of batches of records, which the training loop compiles."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf

from xmcgan.config import Config
from xmcgan.images import from_uint8
from xmcgan.models.text_encoder import TextEncoder, TextFeatures
from xmcgan.training.random_numbers import RandomNumbers
from xmcgan.training.state import TrainState
from xmcgan.training.step import Example, TrainingStep

Batch = dict[str, tf.Tensor]  # See `xmcgan.training.loop.TrainingData.batches`.


def step_on_batches(
    config: Config, state: TrainState, text_encoder: TextEncoder | None, image_encoder: Callable | None = None
) -> Callable[[list[Batch], RandomNumbers], dict[str, tf.Tensor]]:
    """Returns the training step as a function of batches; call it inside the strategy's scope.

    Args:
      config: the experiment.
      state: the state to train.
      text_encoder: encodes the captions; not used if the batches contain stored features.
      image_encoder: see `TrainingStep`.

    Returns:
      A function of `config.training.batches_per_iteration` batches and of their random numbers. It trains the state,
      and returns the metrics of `TrainingStep`.
    """
    training_step = TrainingStep(config, state, image_encoder)
    encode: Callable[[Batch], TextFeatures] = _stored
    if not config.text.precomputed:
        assert text_encoder is not None, "the batches contain captions"
        encode = text_encoder.encode

    def step(batches: list[Batch], numbers: RandomNumbers) -> dict[str, tf.Tensor]:
        changes = numbers.changes or [None] * len(batches)
        examples = [
            Example(from_uint8(batch["image"]), encode(batch), z, change)
            for batch, z, change in zip(batches, numbers.z, changes)
        ]
        examples += [examples[-1]._replace(z=z) for z in numbers.z[len(batches) :]]
        return training_step(examples)

    return step


def _stored(batch: Batch) -> TextFeatures:
    """Returns the stored text features of a batch, cast from float16 to float32."""
    return TextFeatures(tf.cast(batch["sentence"], tf.float32), tf.cast(batch["words"], tf.float32), batch["lengths"])
