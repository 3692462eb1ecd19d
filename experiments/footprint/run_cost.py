"""What a run costs: operations counted in its traced training step, and bytes of its checkpoints."""

from __future__ import annotations

import math
from typing import NamedTuple

from experiments.ablation.jobs import images_of
from experiments.footprint import flops, traced_step
from xmcgan.config import Config


class Cost(NamedTuple):
    """Of one run."""

    images: int  # Training images drawn
    flop_per_image: float  # Of an iteration, by the images that it draws
    checkpoint_bytes: int  # Of one checkpoint
    kept_checkpoints: int  # And the best one, beside those

    @property
    def flop(self) -> float:
        """Of the whole run."""
        return self.images * self.flop_per_image

    @property
    def disk_bytes(self) -> int:
        """Of all checkpoints that are kept."""
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
    counted = config.with_fields(
        {
            "training.recompute": False,
            "training.micro_batches": 1,
            "losses.word_chunk": config.training.batch_size,  # All sentences at once: chunks are computed again, too.
        }
    )
    traced = traced_step.trace(counted)
    state = traced.state
    kept = [state.generator, state.ema_generator, state.discriminator]
    variables = [variable for network in kept for variable in network.variables]
    variables += [*state.generator_optimizer.variables, *state.discriminator_optimizer.variables]
    step_flop = flops.total(flops.count(traced.graph))
    return Cost(
        images=images_of(config),
        flop_per_image=step_flop / config.training.images_per_iteration + text_encoder_flop(config),
        checkpoint_bytes=sum(math.prod(variable.shape) * variable.dtype.size for variable in variables),
        kept_checkpoints=config.training.max_checkpoints + 1,
    )


def text_encoder_flop(config: Config) -> float:
    """Of BERT on a caption: twice its layers' weights for each token, and the attention between tokens."""
    if config.text.precomputed:
        return 0.0
    size, tokens = traced_step.text_encoder_size(config), config.data.text_length
    return float(size.layers * (2 * 12 * size.width**2 * tokens + 4 * tokens**2 * size.width))
