"""Trains the tiny experiment on two replicas, for `test_distribution`; a process of its own since logical devices are
made before TensorFlow starts.

  python -m tests.support.two_replicas OUTPUT.npz

OUTPUT holds what the functions below return: `train` under 'RULE/...', the others under their names. With TF_CONFIG in
the environment, this is one of two workers with a replica each, and does `train` by one rule and what workers do.
"""

from __future__ import annotations

import os
import sys
import types

import numpy as np
import tensorflow as tf

from tests.support import tiny_networks
from xmcgan.config import Config
from xmcgan.images import to_uint8
from xmcgan.losses.objectives import Objectives
from xmcgan.models.discriminator import DiscriminatorOutput
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.replicas import gather, replica_rows
from xmcgan.training import cluster
from xmcgan.training.loop import compiled_steps
from xmcgan.training.state import Adam, TrainState, update_average
from xmcgan.training.step import TrainingStep, noise
from xmcgan.training.workers import Workers

IN_PARTS = "joint in parts"  # Each replica's share of the batch row by row.
STEPS = 2
BATCH = 6


def experiment(rule: str) -> Config:
    """One D step and one G step, apart or joint; all losses on."""
    changes = {"training.discriminator_steps": 1, "training.batch_size": BATCH}
    if rule == IN_PARTS:
        rule = "joint"
        changes.update({"training.micro_batches": BATCH // 2, "losses.word_chunk": 2})
    return tiny_networks.tiny_config(**{"training.update_rule": rule, **changes})


def train(strategy: tf.distribute.Strategy, rule: str, compiled: bool) -> dict[str, np.ndarray]:
    """Trains in double precision, where rounding does not reach the kink of any ReLU.

    Args:
      strategy: one or more replicas, among which the same global batches are shared out.
      rule: the update rule.
      compiled: each iteration is a graph.

    Returns:
      'metric/NAME' [steps], and every variable afterwards as 'NETWORK/INDEX/NAME'.
    """
    config = experiment(rule)
    draws = config.training.batches_per_iteration
    examples = [tiny_networks.random_example(config, BATCH, seed, "float64") for seed in range(STEPS * draws)]
    with strategy.scope():
        generator, discriminator = tiny_networks.build_networks(config, examples[0])
        ema_generator, _ = tiny_networks.build_networks(config, examples[0])
        # Great steps, and an epsilon that keeps Adam from magnifying the rounding of gradients that are zero.
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
        metrics = update(tf.nest.map_structure(replica_rows, list(global_examples)))
        update_average(ema_generator, generator, decay=0.5)
        return metrics

    def iterate(*global_examples) -> dict[str, tf.Tensor]:
        metrics = strategy.run(update_and_average, args=(global_examples,))
        return {name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for name, value in metrics.items()}

    if compiled:
        iterate = tf.function(iterate, autograph=False)
    with strategy.scope():
        history = [iterate(*examples[step * draws : (step + 1) * draws]) for step in range(STEPS)]

    results = {f"metric/{name}": np.array([float(metrics[name]) for metrics in history]) for name in history[0]}
    for network in (generator, ema_generator, discriminator):
        for i, variable in enumerate(network.variables):
            kind = "ema_generator" if network is ema_generator else type(network).__name__.lower()
            results[f"{kind}/{i:03d}/{variable.name.split('/', 1)[1]}"] = variable.numpy()
    return results


class _NoTextEncoder:
    """The batches hold features already."""

    @staticmethod
    def encode(batch: dict[str, tf.Tensor]) -> TextFeatures:
        return TextFeatures(*(batch[name] for name in TextFeatures._fields))


def first_losses_of_the_loop(strategy: tf.distribute.Strategy) -> np.ndarray:
    """D's and G's total losses of one step of the training loop itself: [2]."""
    config = experiment("joint")
    with strategy.scope():
        state = TrainState(config)
    image, text, _ = tiny_networks.random_example(config, BATCH)
    dataset = tf.data.Dataset.from_tensors({"image": to_uint8(image), **text._asdict()}).unbatch().batch(BATCH, True)
    run_steps = compiled_steps(strategy, config, state, _NoTextEncoder, tiny_networks.image_encoder)
    metrics, _ = run_steps(iter(strategy.experimental_distribute_dataset(dataset)), 1)
    return np.concatenate([metrics["d/loss"], metrics["g/loss"]])


def some_noise(strategy: tf.distribute.Strategy) -> np.ndarray:
    """The rows of all replicas, in order: [batch, 4]."""
    rows = strategy.run(lambda: noise(seed=7, step=tf.constant(3, tf.int64), draw=1, global_batch=BATCH, dim=4))
    return np.concatenate(strategy.experimental_local_results(rows))


def features() -> np.ndarray:
    """Of images and of their sentences: [2, batch, dim]."""
    return np.random.default_rng(0).normal(size=[2, BATCH, 8]).astype(np.float32)


def local_negatives(strategy: tf.distribute.Strategy) -> np.ndarray:
    """Each replica's sentence loss where a replica keeps to itself: [replicas]."""
    config = tiny_networks.tiny_config(**{"losses.negatives": "replica", "losses.discriminator_word": 0.0})

    def loss() -> tf.Tensor:
        images, sentences = (replica_rows(tf.constant(part)) for part in features())
        output = DiscriminatorOutput(tf.zeros([len(images)]), images, sentences, None)
        return Objectives(config.losses).discriminator(output, output, None).metrics["sentence_loss"]

    return np.stack(strategy.experimental_local_results(strategy.run(loss)))


def gathered_shape(strategy: tf.distribute.Strategy) -> list[int]:
    """The static shape, but for the batch, of [batch, 5, 4] features that were gathered within a graph."""
    shapes = []

    @tf.function
    def run() -> None:
        strategy.run(lambda: shapes.append(gather(tf.zeros([BATCH // 2, 5, 4])).shape[1:]))

    run()
    return shapes[0].as_list()


def exchanged(strategy: tf.distribute.Strategy) -> np.ndarray:
    """What a worker hears of the numbers 10 and 11, and of flags that are set on none, the first, the second: [5]."""
    workers = Workers(strategy)
    flags = [workers.any(False), workers.any(workers.index == 0), workers.any(workers.index == 1)]
    return np.array([*workers.gather(10 + workers.index), *flags])


def work() -> None:
    """As one of two workers."""
    strategy = cluster.create_strategy("multi_worker")
    arrays = {"exchanged": exchanged(strategy)}
    tf.keras.backend.set_floatx("float64")
    arrays.update({f"joint/{name}": value for name, value in train(strategy, "joint", compiled=True).items()})
    np.savez(sys.argv[1], **arrays)
    Workers(strategy).wait()


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    functions = (first_losses_of_the_loop, some_noise, local_negatives, gathered_shape)
    rules = sys.argv[2:]
    arrays = {} if rules else {function.__name__: function(strategy) for function in functions}
    tf.keras.backend.set_floatx("float64")
    for rule in rules or ["algorithm1"]:
        arrays.update({f"{rule}/{name}": value for name, value in train(strategy, rule, compiled=True).items()})
    np.savez(sys.argv[1], **arrays)


if __name__ == "__main__":
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # It takes long and changes nothing.
    if "TF_CONFIG" in os.environ:
        work()
    else:
        main()
