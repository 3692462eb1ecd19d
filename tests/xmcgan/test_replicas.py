import numpy as np
import pytest
import tensorflow as tf

from tests.support import four_replicas
from tests.support.commands import run_without_gpus
from xmcgan import replicas


@pytest.fixture(scope="module")
def on_four(tmp_path_factory):
    """What four replicas came to."""
    path = tmp_path_factory.mktemp("four_replicas") / "results.npz"
    run_without_gpus("tests.support.four_replicas", path)
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("size", four_replicas.GROUPS)
def test_mean_over_a_group(size, on_four):
    x, weights = four_replicas.inputs()
    size_of_group = size or four_replicas.REPLICAS
    for first in range(0, four_replicas.REPLICAS, size_of_group):
        group = slice(first, first + size_of_group)
        mean = x[group].sum(axis=0) / size_of_group
        # d/dx_r of the sum of weights_s * mean ** 3 over the group's replicas s.
        gradient = 3 * mean**2 * weights[group].sum(axis=0) / size_of_group
        for replica in range(first, first + size_of_group):
            np.testing.assert_allclose(on_four[f"value/{size}"][replica], mean, rtol=1e-12)
            np.testing.assert_allclose(on_four[f"gradient/{size}"][replica], gradient, rtol=1e-12)


def test_one_device_has_nothing_to_exchange():
    x = tf.random.stateless_normal([4, 3], [0, 0])
    assert replicas.num_replicas() == 1
    assert replicas.gather(x) is x
    assert replicas.replica_rows(x) is x
    assert replicas.sum_over_replicas([x]) == [x]
    assert replicas.group_mean(x, 0) is x
    assert replicas.group_mean(x, 1) is x


def test_groups_that_do_not_come_out_even_are_refused():
    for size in (0, 1, 2, 3, 4, 6, 12):
        replicas.check_groups(size, 12)
    message = (
        r"generator\.batch_norm_replicas=8 does not divide 12 replica\(s\): "
        r"set it to one of 0 \(all of them together\), 1 \(each alone\), 2, 3, 4, 6$"
    )
    with pytest.raises(ValueError, match=message):
        replicas.check_groups(8, 12)
    with pytest.raises(ValueError, match="batch_norm_replicas=2 does not divide 1 replica"):
        replicas.group_mean(tf.zeros([3]), 2)
