import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny_networks
import two_replicas
from scipy.special import log_softmax

from xmcgan.synthesis import from_uint8, to_uint8
from xmcgan.training import distribution
from xmcgan.training.state import TrainState
from xmcgan.training.update import Update, noise


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    """What two replicas came to."""
    path = tmp_path_factory.mktemp("two_replicas") / "results.npz"
    subprocess.run(
        [sys.executable, two_replicas.__file__, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CUDA_VISIBLE_DEVICES": ""},
        check=True,
    )
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("rule", two_replicas.RULES)
def test_two_replicas_train_as_one(rule, on_two, float64):
    on_one = two_replicas.train(tf.distribute.get_strategy(), rule, compiled=False)
    prefix = f"{rule}/"
    assert {name[len(prefix) :] for name in on_two if name.startswith(prefix)} == set(on_one)
    for name, expected in on_one.items():
        tolerance = 1e-9 * max(1.0, np.max(np.abs(expected)))
        np.testing.assert_allclose(on_two[prefix + name], expected, rtol=0, atol=tolerance, err_msg=name)


def test_the_loop_runs_on_two_replicas(on_two):
    config = two_replicas.experiment("joint")
    z = noise(config.training.seed, tf.constant(0, tf.int64), 0, two_replicas.BATCH, config.generator.noise_dim)
    example = tiny_networks.random_example(config, two_replicas.BATCH)
    example = example._replace(image=from_uint8(to_uint8(example.image)), z=z)
    metrics = Update(config, TrainState(config), tiny_networks.image_encoder)([example])
    expected = [metrics["d/loss"], metrics["g/loss"]]
    np.testing.assert_allclose(on_two["first_losses_of_the_loop"], expected, rtol=1e-4)


def test_noise_does_not_depend_on_the_number_of_replicas(on_two):
    np.testing.assert_array_equal(on_two["some_noise"], two_replicas.some_noise(tf.distribute.get_strategy()))


def test_negatives_of_a_replica_stay_its_own(on_two):
    images, sentences = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in two_replicas.features())
    half = two_replicas.BATCH // 2
    expected = []
    for rows in (slice(0, half), slice(half, None)):
        logits = images[rows] @ sentences[rows].T / 0.1
        expected.append(-sum(np.mean(np.diag(log_softmax(logits, axis=axis))) for axis in (0, 1)))
    np.testing.assert_allclose(on_two["local_negatives"], expected, rtol=1e-5)


def test_gathered_features_keep_their_static_shape(on_two):
    assert on_two["gathered_shape"].tolist() == [5, 4]


def test_a_batch_that_cannot_be_shared_is_refused():
    distribution.check_divides(12, 4)
    with pytest.raises(ValueError, match=r"config\.training\.batch_size=10 .* 4 replicas: set it to 8 or 12"):
        distribution.check_divides(10, 4)
    with pytest.raises(ValueError, match=r"set it to 4$"):
        distribution.check_divides(3, 4)
