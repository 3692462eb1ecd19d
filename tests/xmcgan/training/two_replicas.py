"""Trains the tiny experiment on one device or on two, for `test_distribution`; a process of its own since logical
devices are made before TensorFlow starts.

  python two_replicas.py OUTPUT.npz

OUTPUT holds 'RULE/REPLICAS/...': metrics of every step, and all variables afterwards.
"""

from __future__ import annotations

import sys

import numpy as np
import tensorflow as tf
import tiny_networks

from xmcgan.config import Config
from xmcgan.models.discriminator import DiscriminatorOutput
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.training.loop import compiled_steps
from xmcgan.training.objectives import Objectives
from xmcgan.training.state import TrainState
from xmcgan.training.update import Update, noise

STEPS = 2
BATCH = 6
RULES = ("algorithm1", "joint")


class _NoTextEncoder:
    """The batches of this test carry features instead of tokens."""

    @staticmethod
    def encode(batch: dict) -> TextFeatures:
        return TextFeatures(batch["sentence"], batch["words"], batch["lengths"])


def experiment(rule: str) -> Config:
    return tiny_networks.tiny_config(
        **{
            "training.update_rule": rule,
            "training.discriminator_steps": 1,
            "training.batch_size": BATCH,
            # Large steps show; and a large epsilon keeps Adam from magnifying the rounding of gradients that are zero.
            "training.generator_learning_rate": 1e-2,
            "training.discriminator_learning_rate": 1e-2,
            "training.adam_epsilon": 1e-2,
            "training.ema_decay": 0.5,
        }
    )


def _batches(config: Config) -> tf.data.Dataset:
    draws = STEPS * Update.batches_per_iteration(config)
    examples = [tiny_networks.random_example(config, BATCH, seed) for seed in range(draws)]
    stacked = {
        "image": tf.concat([example.image for example in examples], axis=0),
        **{name: tf.concat([getattr(example.text, name) for example in examples], 0) for name in TextFeatures._fields},
    }
    return tf.data.Dataset.from_tensor_slices(stacked).batch(BATCH, drop_remainder=True)


def train(rule: str, strategy: tf.distribute.Strategy) -> dict[str, np.ndarray]:
    """A few iterations; metrics by step and variables by name."""
    config = experiment(rule)
    tf.keras.backend.clear_session()  # Names begin anew.
    with strategy.scope():
        state = TrainState(config)
    run_steps = compiled_steps(strategy, config, state, _NoTextEncoder, tiny_networks.image_encoder)
    metrics = run_steps(iter(strategy.experimental_distribute_dataset(_batches(config))), STEPS)
    models = ("generator", "ema_generator", "discriminator")
    variables = {f"{model}/{v.name}": v.numpy() for model in models for v in getattr(state, model).variables}
    return {"step": state.step.numpy(), **variables, **{f"metric/{name}": values for name, values in metrics.items()}}


def draw_noise(strategy: tf.distribute.Strategy) -> np.ndarray:
    """The noise of all replicas, in order."""
    per_replica = strategy.run(lambda: noise(7, tf.constant(3, tf.int64), 1, BATCH, 4))
    return np.concatenate(strategy.experimental_local_results(per_replica))


def local_negatives(strategy: tf.distribute.Strategy) -> np.ndarray:
    """Sentence loss with negatives from the replica alone, by replica."""
    config = tiny_networks.tiny_config(**{"losses.negatives": "replica", "losses.discriminator_word": 0.0})
    text = tiny_networks.random_text(config, BATCH)
    features = np.random.default_rng(0).normal(size=[2, BATCH, 8]).astype(np.float32)
    replicas = strategy.num_replicas_in_sync

    def loss() -> tf.Tensor:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        images, sentences = (tf.split(part, replicas)[replica] for part in features)
        output = DiscriminatorOutput(tf.zeros([BATCH // replicas]), images, sentences, None)
        return Objectives(config.losses).discriminator(output, output, text).metrics["sentence_loss"]

    return np.stack(strategy.experimental_local_results(strategy.run(loss)))


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.set_visible_devices([], "GPU")
    results = {}
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        strategy = tf.distribute.MirroredStrategy(devices)
        for rule in RULES:
            of_rule = train(rule, strategy)
            results.update({f"{rule}/{len(devices)}/{name}": value for name, value in of_rule.items()})
        results[f"noise/{len(devices)}"] = draw_noise(strategy)
        results[f"local_negatives/{len(devices)}"] = local_negatives(strategy)
    np.savez(sys.argv[1], **results)


if __name__ == "__main__":
    main()
