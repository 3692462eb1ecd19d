"""The cost of a run: operations counted in its traced training step, and bytes of its checkpoints."""

from __future__ import annotations

import math
from typing import NamedTuple

from experiments.ablation.jobs import images_of
from experiments.footprint import flops, traced_step
from xmcgan.config import Config


class Cost(NamedTuple):
    """The cost of one run."""

    images: int  # Training images drawn
    flop_per_image: float  # Operations of an iteration, divided by the images that it draws
    checkpoint_bytes: int  # Bytes of one checkpoint
    kept_checkpoints: int  # Including the best one

    @property
    def flop(self) -> float:
        """Operations of the whole run."""
        return self.images * self.flop_per_image

    @property
    def disk_bytes(self) -> int:
        """Bytes of all checkpoints that are kept."""
        return self.checkpoint_bytes * self.kept_checkpoints

    def hours(self, flop_per_second: float) -> float:
        """Returns the hours on devices that together compute at this rate."""
        return self.flop / flop_per_second / 3600


def cost_of(config: Config) -> Cost:
    """Counts the cost of a run without running or allocating anything; takes a minute at the paper's size.

    Recomputed activations (`training.recompute`) are not counted: whether they are needed depends on the device's
    memory, and they cost at most a third of a step.

    Args:
      config: the experiment; `training.num_steps` must be set.
    """
    counted = config.with_fields(
        {
            "training.recompute": False,
            "training.micro_batches": 1,
            "losses.word_chunk": config.training.batch_size,  # All sentences at once: chunks are recomputed, too.
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
    """Returns BERT's operations for a caption: twice its layers' weights for each token, plus the attention."""
    if config.text.precomputed:
        return 0.0
    size, tokens = traced_step.text_encoder_size(config), config.data.text_length
    return float(size.layers * (2 * 12 * size.width**2 * tokens + 4 * tokens**2 * size.width))
