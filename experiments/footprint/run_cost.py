"""What a run costs: operations counted in its traced training step, and bytes of its checkpoints."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple

from experiments.ablation.jobs import images_of
from experiments.footprint import flops, random_image_encoder, step_memory
from xmcgan.config import Config
from xmcgan.training.state import TrainState
from xmcgan.training.step import TrainingStep


class Cost(NamedTuple):
    """Of one run."""

    pictures: int  # Training images drawn
    flop_per_image: float  # Of an iteration, by the images that it draws
    checkpoint_bytes: int  # Of one checkpoint
    kept_checkpoints: int  # And the best one, beside those

    @property
    def flop(self) -> float:
        return self.pictures * self.flop_per_image

    @property
    def disk_bytes(self) -> int:
        return self.checkpoint_bytes * self.kept_checkpoints

    def hours(self, flop_per_second: float) -> float:
        """On devices that compute so fast together."""
        return self.flop / flop_per_second / 3600


def cost_of(config: Config) -> Cost:
    """Counts what a run costs; nothing is run or allocated. Takes a minute at the paper's size.

    Activations that are computed again (`training.recompute`) are not counted: how many there are depends on the
    device's memory, and what they cost is a third of a step at most.

    Args:
      config: the experiment; `training.num_steps` must be set.
    """
    counted = copy.deepcopy(config)
    options = counted.training
    options.xla = True  # Of shapes that are known before anything runs.
    options.recompute, options.micro_batches = False, 1
    counted.losses.word_chunk = options.batch_size  # All sentences at once: chunks are computed again, too.
    with step_memory.without_storage():
        state = TrainState(counted)
        encoder = random_image_encoder.build(counted)
    traced = step_memory.step(counted, state, encoder).get_concrete_function(step_memory.batches(counted))
    drawn = options.batch_size * TrainingStep.batches_per_iteration(counted)
    kept = [state.generator, state.ema_generator, state.discriminator]
    variables = [variable for network in kept for variable in network.variables]
    variables += [*state.generator_optimizer.variables, *state.discriminator_optimizer.variables]
    return Cost(
        pictures=images_of(config),
        flop_per_image=flops.total(flops.count(traced.graph)) / drawn + text_encoder_flop(config),
        checkpoint_bytes=sum(math.prod(variable.shape) * variable.dtype.size for variable in variables),
        kept_checkpoints=options.max_checkpoints + 1,
    )


def text_encoder_flop(config: Config) -> float:
    """Of BERT on a caption: twice its layers' weights for each token, and the attention between tokens."""
    if config.text.precomputed:
        return 0.0
    layers, width = step_memory.bert_size(config)
    tokens = config.data.text_length
    return float(layers * (2 * 12 * width**2 * tokens + 4 * tokens**2 * width))
