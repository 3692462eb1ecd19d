"""Predicts the memory of a training run on each device, part by part, or measures it on this machine.

A prediction allocates nothing: variables are made without storage, and the step is traced but not run. So the memory of
the paper's batch can be predicted on any machine.
"""

from __future__ import annotations

import math
from typing import Callable, NamedTuple

import tensorflow as tf

from experiments.footprint import liveness, random_image_encoder, traced_step
from experiments.footprint.liveness import Step
from xmcgan.config import Config
from xmcgan.losses.word_scores import word_region_scores
from xmcgan.training.state import TrainState

_REGIONS = 256
_VOCABULARY = 30_522  # Vocabulary of the published BERT models.
_MEASURED_RUNS = 3


class Prediction(NamedTuple):
    """Bytes on each device."""

    held: dict[str, int]  # Parts that stay in memory throughout the run
    discriminator_step: int  # Peak of activations and gradients in a discriminator step; 0 if every step is joint
    generator_step: int  # Peak of activations and gradients in the generator step, or in the joint step
    word_loss: int  # Peak of the word loss if it ran alone; included in the steps
    other_sentences: int  # Memory of the word loss for sentences of other replicas, in addition to the steps
    gradients: dict[str, int]  # Gradients of the weights by network; included in the steps
    worst: str  # The operation at the peak

    @property
    def peak(self) -> int:
        """Bytes at the peak, all parts together."""
        return sum(self.held.values()) + self.step

    @property
    def step(self) -> int:
        """Bytes of the temporary tensors of a step at its peak."""
        return max(self.discriminator_step, self.generator_step) + self.other_sentences


def predict(config: Config, replicas: int = 1) -> Prediction:
    """Predicts the memory of one device.

    Args:
      config: the experiment; its batch size is the global one, which `replicas` must divide.
      replicas: devices that share the batch.
    """
    rows = config.training.batch_size // replicas
    own = config.with_fields({"training.batch_size": rows})
    traced = traced_step.trace(own)
    state, encoder = traced.state, traced.image_encoder
    specs = traced_step.batches(own)
    in_flight = sum(liveness.bytes_of(spec) for spec in tf.nest.flatten([*specs, specs[0]]) if spec is not None)

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


def smallest_fit(config: Config, limit: float, predict: Callable[[Config], Prediction]) -> tuple[int, bool] | None:
    """Finds the fewest micro-batches (a power of two) with which a run fits, with recomputation only if necessary.

    Args:
      config: the experiment; its own settings of micro-batches and recomputation are ignored.
      limit: memory of a device in bytes.
      predict: returns the prediction for a config.

    Returns:
      Micro-batches, and whether to recompute; None if nothing fits.
    """
    micro_batches = 1
    while config.training.batch_size % micro_batches == 0:
        for recompute in (False, True):
            fields = {"training.micro_batches": micro_batches, "training.recompute": recompute}
            if predict(config.with_fields(fields)).peak <= limit:
                return micro_batches, recompute
        micro_batches *= 2
    return None


def measure(config: Config) -> int:
    """Measures the memory of iterations on one device of this machine; call it in a fresh process.

    The result comes from the allocator's statistics. The size of the process would include libraries, compiled kernels
    and memory that the allocator keeps for later. On a CPU, the allocator has statistics only if the process was
    started with TF_CPU_ALLOCATOR_USE_BFC=true.

    Args:
      config: the experiment.

    Returns:
      The peak of allocated bytes, less those allocated before the iteration (weights, moments and batches). It is
      comparable with a prediction's `step`.
    """
    device = "GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"
    state = TrainState(config)
    run = traced_step.iteration(config, state, random_image_encoder.build(config))
    drawn = tf.nest.map_structure(  # Without augmentation, an example has no numbers for it.
        lambda spec: None if spec is None else tf.ones(spec.shape, spec.dtype), traced_step.batches(config)
    )
    grown = []
    for _ in range(1 + _MEASURED_RUNS):
        tf.config.experimental.reset_memory_stats(device)
        before = tf.config.experimental.get_memory_info(device)["current"]
        tf.nest.map_structure(lambda metric: metric.numpy(), run(drawn))
        grown.append(tf.config.experimental.get_memory_info(device)["peak"] - before)
    return max(grown[1:])  # The first run also allocates the averaged weights, which had shared the weights' memory.


def bert_parameters(config: Config) -> int:
    """Returns the number of parameters of the text encoder, with a vocabulary of the published size."""
    size = traced_step.text_encoder_size(config)
    width = size.width
    embeddings = (_VOCABULARY + size.positions + 2) * width + 2 * width
    return embeddings + size.layers * (12 * width**2 + 13 * width) + width**2 + width


def _word_loss(config: Config, images: int, sentences: int) -> int:
    """Returns the peak bytes of the word loss and its gradient with respect to the regions."""
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
        tf.function(gradient, autograph=False).get_concrete_function(
            tf.TensorSpec([images, _REGIONS, dim]),
            tf.TensorSpec([sentences, config.data.text_length, dim]),
            tf.TensorSpec([sentences], tf.int32),
        )
    ).bytes


def _end_of_discriminator_steps(config: Config, state: TrainState, graph: tf.Graph, steps: list[Step]) -> int:
    """Returns where the discriminator steps end.

    D's Adam moments mark the place: only D's optimizer reads them, once in each step.
    """
    own = config.training.discriminator_steps - (config.training.update_rule == "joint")
    if own == 0:
        return 0
    handle = state.discriminator_optimizer.variables[-1].handle
    (name,) = (inner.name for outer, inner in graph.captures if outer is handle)
    touched = [index for index, each in enumerate(steps) if any(buffer.name == name for buffer in each.reads)]
    return touched[own * len(touched) // config.training.discriminator_steps - 1] + 1


def _size(variables: list) -> int:
    return sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in variables)
