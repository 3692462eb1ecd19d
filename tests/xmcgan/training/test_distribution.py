import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from tests.support import free_cluster, tiny_networks, two_replicas
from tests.support.commands import Command, run_without_gpus
from tests.support.processes import finish
from tests.support.quick_step import QuickStep
from xmcgan.images import from_uint8, to_uint8
from xmcgan.training import cluster, random_numbers, workers
from xmcgan.training.state import TrainState
from xmcgan.training.step import TrainingStep

QUICK = ("losses_of_a_quick_step", "some_noise", "local_negatives", "gathered_shape", two_replicas.WITHOUT_GRAPH)


def run_on_two(path, *names):
    """What two replicas come to."""
    run_without_gpus("tests.support.two_replicas", path, *names)
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    return run_on_two(tmp_path_factory.mktemp("two_replicas") / "results.npz", *QUICK)


@functools.cache
def on_one(rule):
    return two_replicas.train(tf.distribute.get_strategy(), rule, compiled=False)


def check_training(results, rule):
    """Compares losses, and all variables after the last step, with those of one device."""
    prefix = f"{rule}/"
    assert {name[len(prefix) :] for name in results if name.startswith(prefix)} == set(on_one(rule))
    for name, expected in on_one(rule).items():
        tolerance = 1e-9 * max(1.0, np.max(np.abs(expected)))
        np.testing.assert_allclose(results[prefix + name], expected, rtol=0, atol=tolerance, err_msg=name)


def test_two_replicas_train_as_one(on_two, float64):
    check_training(on_two, two_replicas.WITHOUT_GRAPH)


@pytest.mark.slow  # Compiles for a minute; one step without a graph: above.
@pytest.mark.parametrize("rule", ["algorithm1", "joint"])
def test_two_replicas_train_as_one_in_a_graph(rule, tmp_path, float64):
    check_training(run_on_two(tmp_path / "results.npz", rule), rule)


@pytest.mark.slow  # Compiles for minutes.
def test_two_replicas_in_micro_batches_train_as_one_device_on_the_whole_batch(tmp_path, float64):
    results = run_on_two(tmp_path / "results.npz", two_replicas.IN_PARTS)
    of_parts = {name.replace(two_replicas.IN_PARTS, "joint"): value for name, value in results.items()}
    check_training(of_parts, "joint")


@pytest.mark.slow  # Each compiles all of it.
def test_two_workers_train_as_one(tmp_path, float64):
    processes = [
        Command("tests.support.two_replicas", tmp_path / output, environment=environment)
        for environment, output in zip(free_cluster.environments(2), ("0.npz", "1.npz"))
    ]
    for process in processes:
        finish(process)
    for output in ("0.npz", "1.npz"):
        with np.load(tmp_path / output) as results:
            check_training(results, "joint")
            np.testing.assert_array_equal(results["exchanged"], [10, 11, False, True, True])


def check_loop(losses, step):
    config = two_replicas.experiment("joint")
    z = random_numbers.of_iteration(config, tf.constant(0, tf.int64)).z[0]
    example = tiny_networks.random_example(config, two_replicas.BATCH)
    example = example._replace(image=from_uint8(to_uint8(example.image)), z=z)
    metrics = step(config, TrainState(config), tiny_networks.image_encoder)([example])
    np.testing.assert_allclose(losses, [metrics["d/loss"], metrics["g/loss"]], rtol=1e-4)


def test_the_loop_runs_on_two_replicas(on_two):
    check_loop(on_two["losses_of_a_quick_step"], QuickStep)


@pytest.mark.slow  # Compiles for half a minute.
def test_the_loop_takes_the_training_step_on_two_replicas(tmp_path):
    results = run_on_two(tmp_path / "results.npz", "first_losses_of_the_loop")
    check_loop(results["first_losses_of_the_loop"], TrainingStep)


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
    cluster.check_divides(12, 4)
    with pytest.raises(ValueError, match=r"config\.training\.batch_size=10 .* 4 replicas: set it to 8 or 12"):
        cluster.check_divides(10, 4)
    with pytest.raises(ValueError, match=r"set it to 4$"):
        cluster.check_divides(3, 4)


def test_a_batch_that_micro_batches_cannot_share_is_refused():
    cluster.check_divides(24, 4, 3)
    with pytest.raises(ValueError, match=r"batch_size=28 .* 4 replicas of 3 micro-batches each: set it to 24 or 36$"):
        cluster.check_divides(28, 4, 3)


@pytest.mark.parametrize("name", ["auto", "one_device", "mirrored"])
def test_strategies_of_one_machine(name, monkeypatch):
    # Of a cluster with one worker: TensorFlow would look for its devices, not for this process's.
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["elsewhere:1"]}, "task": {"type": "worker", "index": 0}}')
    strategy = cluster.create_strategy(name)
    assert strategy.num_replicas_in_sync == 1
    results = strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.ones([2])))
    np.testing.assert_array_equal(strategy.experimental_local_results(results)[0], [1, 1])
    one = workers.Workers(strategy)
    assert (one.count, one.index, one.is_chief, one.gather(7), one.any(True)) == (1, 0, True, [7], True)
    with one.own_folder("run") as folder:
        assert folder == "run"


@pytest.mark.parametrize("tpu", ["local", "grpc://localhost:9"])
def test_a_tpu_that_is_not_there(tpu):
    with pytest.raises(ValueError, match=rf"^no TPU at --tpu={tpu} \(.*'local' on a TPU VM") as caught:
        cluster.create_strategy("tpu", tpu)
    assert "\n" not in str(caught.value)
