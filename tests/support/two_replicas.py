"""Trains the tiny experiment on two replicas, for `test_distribution`.

  python -m tests.support.two_replicas OUTPUT.npz NAME...

It runs in its own process because logical devices must be set up before TensorFlow starts. The names are those of
functions below, and update rules, for `train`; OUTPUT has the results as NAME and as 'RULE/...'. If TF_CONFIG is in the
environment, this process is one of two workers with one replica each, and runs `train` with one rule and `exchanged`.
"""

from __future__ import annotations

import os
import sys
import types
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.support import tiny_networks
from tests.support.quick_step import QuickStep
from xmcgan.config import Config
from xmcgan.images import to_uint8
from xmcgan.losses.objectives import Objectives
from xmcgan.models.discriminator import DiscriminatorOutput
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.replicas import gather, replica_rows
from xmcgan.training import batch_step, cluster, random_numbers
from xmcgan.training.loop import compiled_steps
from xmcgan.training.state import Adam, TrainState, update_average
from xmcgan.training.step import TrainingStep
from xmcgan.training.workers import Workers

WITHOUT_GRAPH = "joint without a graph"  # One step: for two replicas, a graph takes long to compile.
IN_PARTS = "joint in parts"  # Micro-batches of one row on each replica.
STEPS = 2
BATCH = 6


def experiment(rule: str) -> Config:
    """Returns an experiment with one D step and one G step, separate or joint, and all losses on."""
    changes = {"training.discriminator_steps": 1, "training.batch_size": BATCH}
    if rule == IN_PARTS:
        changes.update({"training.micro_batches": BATCH // 2, "losses.word_chunk": 2})
    rule = "joint" if rule in (IN_PARTS, WITHOUT_GRAPH) else rule
    return tiny_networks.tiny_config(**{"training.update_rule": rule, **changes})


def train(strategy: tf.distribute.Strategy, rule: str, compiled: bool) -> dict[str, np.ndarray]:
    """Trains in double precision, so that rounding does not flip the sign of any ReLU's input.

    Args:
      strategy: one or more replicas, which divide the same global batches.
      rule: the update rule.
      compiled: whether each iteration is compiled to a graph.

    Returns:
      'metric/NAME' [steps], and every variable after the training as 'NETWORK/INDEX/NAME'.
    """
    steps = 1 if rule == WITHOUT_GRAPH else STEPS
    config = experiment(rule)
    draws = config.training.batches_per_iteration
    examples = [tiny_networks.random_example(config, BATCH, seed, "float64") for seed in range(steps * draws)]
    with strategy.scope():
        generator, discriminator = tiny_networks.build_networks(config, examples[0])
        ema_generator, _ = tiny_networks.build_networks(config, examples[0])
        # Large steps, and an epsilon that keeps Adam from amplifying the rounding errors of zero gradients.
        optimizers = [Adam(1e-2, 0.5, 0.999, 1e-4, jit_compile=False) for _ in range(2)]
        for optimizer, network in zip(optimizers, (generator, discriminator)):
            optimizer.build(network.trainable_variables)
    networks = types.SimpleNamespace(
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=optimizers[0],
        discriminator_optimizer=optimizers[1],
    )
    update = TrainingStep(config, networks, tiny_networks.image_encoder)

    def update_and_average(global_examples) -> dict[str, tf.Tensor]:
        rows = tf.nest.map_structure(lambda x: None if x is None else replica_rows(x), list(global_examples))
        metrics = update(rows)
        update_average(ema_generator, generator, decay=0.5)
        return metrics

    def iterate(*global_examples) -> dict[str, tf.Tensor]:
        metrics = strategy.run(update_and_average, args=(global_examples,))
        return {name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for name, value in metrics.items()}

    if compiled:
        iterate = tf.function(iterate, autograph=False)
    with strategy.scope():
        history = [iterate(*examples[step * draws : (step + 1) * draws]) for step in range(steps)]

    results = {f"metric/{name}": np.array([float(metrics[name]) for metrics in history]) for name in history[0]}
    for network in (generator, ema_generator, discriminator):
        for i, variable in enumerate(network.variables):
            kind = "ema_generator" if network is ema_generator else type(network).__name__.lower()
            results[f"{kind}/{i:03d}/{variable.name.split('/', 1)[1]}"] = variable.numpy()
    return results


class _NoTextEncoder:
    """A text encoder for batches that have features already."""

    @staticmethod
    def encode(batch: dict[str, tf.Tensor]) -> TextFeatures:
        return TextFeatures(*(batch[name] for name in TextFeatures._fields))


def losses_of_a_quick_step(strategy: tf.distribute.Strategy) -> np.ndarray:
    """Returns the losses of `first_losses_of_the_loop` of a step that is traced quickly."""
    with mock.patch.object(batch_step, "TrainingStep", QuickStep):
        return first_losses_of_the_loop(strategy)


def first_losses_of_the_loop(strategy: tf.distribute.Strategy) -> np.ndarray:
    """Returns D's and G's total losses of one step of the training loop: [2]."""
    config = experiment("joint")
    with strategy.scope():
        state = TrainState(config)
    image, text, *_ = tiny_networks.random_example(config, BATCH)
    dataset = tf.data.Dataset.from_tensors({"image": to_uint8(image), **text._asdict()}).unbatch().batch(BATCH, True)
    run_steps = compiled_steps(strategy, config, state, _NoTextEncoder, tiny_networks.image_encoder)
    metrics, _ = run_steps(iter(strategy.experimental_distribute_dataset(dataset)), 1)
    return np.concatenate([metrics["d/loss"], metrics["g/loss"]])


def some_noise(strategy: tf.distribute.Strategy) -> np.ndarray:
    """Returns the noise of all replicas, in order: [batch, 4]."""
    draw = random_numbers.Draw("normal", (BATCH, 4), number=1)
    rows = strategy.run(lambda: random_numbers.rows(draw, seed=7, step=tf.constant(3, tf.int64)))
    return np.concatenate(strategy.experimental_local_results(rows))


def features() -> np.ndarray:
    """Returns random features of images and of their sentences: [2, batch, dim]."""
    return np.random.default_rng(0).normal(size=[2, BATCH, 8]).astype(np.float32)


def local_negatives(strategy: tf.distribute.Strategy) -> np.ndarray:
    """Returns each replica's sentence loss with only its own negatives: [replicas]."""
    config = tiny_networks.tiny_config(**{"losses.negatives": "replica", "losses.discriminator_word": 0.0})

    def loss() -> tf.Tensor:
        images, sentences = (replica_rows(tf.constant(part)) for part in features())
        output = DiscriminatorOutput(tf.zeros([len(images)]), images, sentences, None)
        return Objectives(config.losses).discriminator(output, output, None).metrics["sentence_loss"]

    return np.stack(strategy.experimental_local_results(strategy.run(loss)))


def gathered_shape(strategy: tf.distribute.Strategy) -> list[int]:
    """Returns the static shape, without the batch, of [batch, 5, 4] features that were gathered inside a graph."""
    shapes = []

    @tf.function
    def run() -> None:
        strategy.run(lambda: shapes.append(gather(tf.zeros([BATCH // 2, 5, 4])).shape[1:]))

    run()
    return shapes[0].as_list()


def exchanged(strategy: tf.distribute.Strategy) -> np.ndarray:
    """Returns what a worker receives: the workers' numbers 10 and 11, and whether a flag is set on any worker: [5].

    The three flags are set on no worker, on the first, and on the second.
    """
    workers = Workers(strategy)
    flags = [workers.any(False), workers.any(workers.index == 0), workers.any(workers.index == 1)]
    return np.array([*workers.gather(10 + workers.index), *flags])


def work() -> None:
    """Saves the results as one of two workers."""
    strategy = cluster.create_strategy("multi_worker")
    arrays = {"exchanged": exchanged(strategy)}
    tf.keras.backend.set_floatx("float64")
    arrays.update({f"joint/{name}": value for name, value in train(strategy, "joint", compiled=True).items()})
    np.savez(sys.argv[1], **arrays)
    Workers(strategy).wait()


def main() -> None:
    """Saves the results of two replicas in this process."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    functions = (losses_of_a_quick_step, first_losses_of_the_loop, some_noise, local_negatives, gathered_shape)
    names = sys.argv[2:]
    arrays = {function.__name__: function(strategy) for function in functions if function.__name__ in names}
    tf.keras.backend.set_floatx("float64")
    for rule in set(names) - set(arrays):
        results = train(strategy, rule, compiled=rule != WITHOUT_GRAPH)
        arrays.update({f"{rule}/{name}": value for name, value in results.items()})
    np.savez(sys.argv[1], **arrays)


if __name__ == "__main__":
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # It is slow and changes nothing.
    if "TF_CONFIG" in os.environ:
        work()
    else:
        main()
